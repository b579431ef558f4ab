"""encodings: text that can be read in another encoding than it is in is refused, whatever is in that one is not."""

import codecs
import gzip

import pytest

from albert.common.errors import UserError
from tools.text import source

TEXT = '今天的天气是很好的，我们一起去公园里。\n他在那里有一个大的国家。\n' * 3


def write(folder, content, name='a.txt'):
  (folder / name).write_bytes(gzip.compress(content) if name.endswith('.gz') else content)
  return [str(folder / name)]


@pytest.mark.parametrize('name', ['a.txt', 'a.txt.gz', 'a.csv'])
@pytest.mark.parametrize('encoding, named', [
    ('utf-8', 'latin-1'), ('utf-8', 'cp1252'), ('gb18030', 'latin-1'), ('gb18030', 'iso-8859-15')])
def test_mojibake_is_refused(tmp_path, name, encoding, named):
  paths = write(tmp_path, TEXT.encode(encoding), name)
  with pytest.raises(UserError, match='a.*: expected text in {}, found .*say --encoding={}'.format(named, encoding)):
    source.check_not_misread(paths, named)


@pytest.mark.parametrize('content, named', [
    (TEXT.encode('gbk'), 'gbk'), (TEXT.encode('gb18030'), 'gb18030'), (TEXT.encode('utf-8'), 'utf-8'),
    ('今天的天氣是很好的，我們一起去。'.encode('big5'), 'big5'), ('Un été à la plage.\n'.encode('latin-1'), 'latin-1'),
    (codecs.BOM_UTF8 + TEXT.encode('utf-8'), 'latin-1'), (TEXT.encode('utf-16'), 'latin-1'), (b'', 'latin-1'),
    ('使µĹa'.encode('utf-8') * 20, 'utf8')])
@pytest.mark.parametrize('name', ['a.txt', 'a.csv'])
def test_what_is_in_its_encoding_is_not(tmp_path, content, named, name):
  source.check_not_misread(write(tmp_path, content, name), named)
