"""tools.text.hints: what is probably meant otherwise is said, and nothing else."""

import re

import pytest

from tools.text import cleaning
from tools.text import source

from layouts_test import lines_of
from layouts_test import LONG_LINES
from layouts_test import write
import small_corpus

SHORT = '第{}条评论，很好。\n'


def hints_for(path, documents=None, **options):
  options = cleaning.Options(documents=documents or 'blank_line', **options)
  return source.hints_for([path], source.Source(cleaning=options), documents is not None)


@pytest.mark.parametrize('content, options, is_hinted', [
    (LONG_LINES.replace('\n', '\n\n'), {}, True), (LONG_LINES.replace('\n', '\n\n'), {'split_sentences': True}, False),
    (small_corpus.text(), {}, False), ('很长的一行，' * 50 + '\n\n' + '还有，' * 50, {}, False),
    (lines_of(*({'text': line} for line in LONG_LINES.split('\n'))), {'text_field': 'text'}, True), ('', {}, False)],
                         ids='paragraphs divided sentences single JSON empty'.split())
def test_lines_of_several_sentences(tmp_path, content, options, is_hinted):
  found = hints_for(write(tmp_path / 'a', content), **options)
  assert ['--split_sentences' in hint for hint in found] == [True] * is_hinted


@pytest.mark.parametrize('line, words', [
    ('体育\t火箭队昨天又输了一场球。\n', r'2 columns divided by tabs \(体育 \| 火箭队昨天又.*\.\.\.\), .*cut -f2 '),
    ('1\t他来了吗\t他到了没有啊\t1\r\n', r'4 columns divided by tabs .*cut -f3 ')])
def test_columns_without_a_name(tmp_path, line, words):
  first, = hints_for(write(tmp_path / 'a', (line + '\n') * 30))
  assert re.search(words, first)
  assert hints_for(write(tmp_path / 'a', line * 29 + '没有。\n'), 'line') == []


@pytest.mark.parametrize('content, documents, is_hinted', [
    (SHORT * 150, None, True), ('评论\n\n' + SHORT * 150, None, True), (SHORT * 150, 'line', False),
    (SHORT * 150, 'blank_line', False), ((SHORT * 20 + '\n') * 20, None, False), (SHORT * 30, None, False),
    (SHORT.replace('\n', '\r\n') * 150, None, True)])
def test_a_file_without_blank_lines(tmp_path, content, documents, is_hinted):
  found = hints_for(write(tmp_path / 'a', content), documents)
  assert ['--documents=line' in hint for hint in found] == [True] * is_hinted


def test_small_files_are_documents_of_their_own(tmp_path):
  paths = [write(tmp_path / str(number), SHORT * 150) for number in range(2)]
  assert source.hints_for(paths, source.Source(), False) == []
