"""Programs under other locales: Chinese names and output, no traceback, files in UTF-8."""

import os
import shutil
import subprocess
import sys

import pytest

from albert.common.files import ROOT
from albert.common import locales

import small_corpus

PROGRAM = """
import sys
from absl import flags
from albert.common import cli
from albert.common.errors import UserError
flags.DEFINE_string('name', '', '')
def main(argv):
  with open(flags.FLAGS.name, 'a') as target:
    target.write('春𠀀')
  print(sys.getfilesystemencoding(), ascii(flags.FLAGS.name), '春𠀀é')
  print('春𠀀', file=sys.stderr)
  if 'fail' in flags.FLAGS.name:
    raise UserError('春𠀀 ' + flags.FLAGS.name)
  if 'tensorflow' in flags.FLAGS.name:
    flags.FLAGS.name.encode('utf-8')
cli.run(main)
"""


def environment(folder, name):
  """The environment variables of a locale."""
  plain = {key: value for key, value in os.environ.items() if not key.startswith(('LC_', 'LANG', 'PYTHON'))}
  if name == 'ASCII':
    # Without these two, Python takes the C locale for UTF-8.
    return dict(plain, LC_ALL='C', PYTHONCOERCECLOCALE='0', PYTHONUTF8='0', PYTHONPATH=ROOT)
  source = {'GBK': 'zh_CN', 'ISO-8859-1': 'en_US', 'UTF-8': 'en_US'}[name]
  made = shutil.which('localedef') and subprocess.call(
      ['localedef', '-i', source, '-f', name, str(folder / 'my.{}'.format(name))], stderr=subprocess.DEVNULL)
  if made != 0:
    pytest.skip('localedef cannot make this locale')
  return dict(plain, LOCPATH=str(folder), LC_ALL='my.' + name, PYTHONPATH=ROOT)


def run(command, environ, cwd):
  done = subprocess.run(command, env=environ, cwd=str(cwd), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
  assert b'Traceback' not in done.stderr, done.stderr
  return done


@pytest.mark.parametrize('locale, shown', [
    ('ASCII', b'???'), ('GBK', '春?é'.encode('gbk')), ('ISO-8859-1', '??é'.encode('latin-1')),
    ('UTF-8', '春𠀀é'.encode())])
def test_a_program(tmp_path, locale, shown):
  (tmp_path / 'program.py').write_text(PROGRAM, encoding='utf-8')
  environ = environment(tmp_path, locale)
  command = [sys.executable, '-W', 'ignore', 'program.py', '--name=数据'.encode()]
  done = run(command, environ, tmp_path)
  assert done.returncode == 0 and done.stdout == b"utf-8 '\\u6570\\u636e' " + shown + b'\n'
  assert (tmp_path / '数据').read_bytes() == '春𠀀'.encode()
  failed = run(command[:-1] + ['--name=数据fail'.encode()], environ, tmp_path)
  assert failed.returncode == 1 and failed.stderr.split(b'\n')[-2].startswith(b'error: ')
  # A name that is not UTF-8, as a GBK terminal gives it.
  done = run(command[:-1] + ['--name=数据'.encode('gbk')], environ, tmp_path)
  assert done.returncode == 0 and os.path.exists(os.path.join(os.fsencode(str(tmp_path)), '数据'.encode('gbk')))
  refused = run(command[:-1] + ['--name=数据tensorflow'.encode('gbk')], environ, tmp_path)
  assert refused.returncode == 1 and b'error: expected names of files in UTF-8' in refused.stderr


def test_output_in_an_encoding_that_was_asked_for(tmp_path):
  (tmp_path / 'program.py').write_text(PROGRAM, encoding='utf-8')
  environ = dict(environment(tmp_path, 'ASCII'), PYTHONIOENCODING='gbk')
  done = run([sys.executable, 'program.py', '--name=a'], environ, tmp_path)
  assert done.stdout == "utf-8 'a' 春?é\n".encode('gbk')


def test_other_encoding_errors_are_not_hidden():
  with pytest.raises(UnicodeEncodeError) as error:
    '\ud83d'.encode('utf-8')
  assert locales.explain(error.value) is None


@pytest.mark.integration
@pytest.mark.parametrize('locale', ['ASCII', 'GBK', 'ISO-8859-1'])
def test_the_data_tools(tmp_path, locale):
  environ = environment(tmp_path, locale)
  (tmp_path / '语料').mkdir()
  (tmp_path / '语料' / '新闻.txt').write_text(small_corpus.text() + '\n我\n', encoding='utf-8')
  tool = [sys.executable, '-m', 'tools.build_vocab', '--input_files=语料'.encode(), '--output_file=词表.txt'.encode()]
  assert run(tool, environ, tmp_path).returncode == 0
  tool = [sys.executable, '-m', 'tools.create_pretraining_data', '--input_files=语料'.encode(), '--max_seq_length=48',
          '--vocab_file=词表.txt'.encode(), '--output_dir=数据'.encode(), '--max_predictions_per_seq=7']
  assert run(tool, environ, tmp_path).returncode == 0
  for name in ('dataset.json', 'skipped.tsv', 'data_report.html'):
    assert '新闻.txt' in (tmp_path / '数据' / name).read_text(encoding='utf-8')
  tool = [sys.executable, '-m', 'tools.inspect_records', '--input_files=数据'.encode()]
  assert run(tool, environ, tmp_path).returncode == 0
