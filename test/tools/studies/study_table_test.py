"""The table of a study: what it says, and one line for what it does not."""

import glob
import os

import pytest

from albert.common.errors import UserError
from albert.common.files import ROOT
from tools.studies import table

GOOD = '\n'.join([
    '# What is studied.', 'base\tgin/study/mini.gin', '', 'heldout\t--masked_lm_prob=0.15',
    'data\tlong\t--max_seq_length=128', 'data\tshort\t--max_seq_length=64', 'run\tplain\tlong',
    "run\tgrown\tlong\tpretrain.phases=[{'data': <short>}]"]) + '\n'


def write(folder, text):
  path = str(folder / 'levers.tsv')
  with open(path, 'w', encoding='utf-8') as target:
    target.write(text)
  return path


def test_a_table_is_read_and_a_run_names_all_of_its_data_sets(tmp_path):
  study = table.read(write(tmp_path, GOOD))
  assert study.base == 'gin/study/mini.gin' and study.heldout == '--masked_lm_prob=0.15'
  assert list(study.data.items()) == [('long', '--max_seq_length=128'), ('short', '--max_seq_length=64')]
  assert [run.name for run in study.runs] == ['plain', 'grown'] and study.runs[0].settings == ''
  assert [table.data_sets(run) for run in study.runs] == [['long'], ['long', 'short']]


@pytest.mark.parametrize('before, after, found', [
    ('base\t', 'bases\t', 'line 2: expected base, data, heldout or run'),
    ('run\tplain\tlong', 'run\tplain', 'line 7: expected 3 to 4 words'),
    ('run\tgrown', 'run\tplain', 'not used before'), ('run\tgrown', 'run\t../grown', 'not used before'),
    ('\tlong\tpre', '\tlang\tpre', "among long, short, found 'lang'"), ('<short>', '<shirt>', "found 'shirt'"),
    ('run\t', '#', 'found no run'), ('base\t', '# base\t', 'found no base')])
def test_what_is_no_table_is_named_with_its_line(tmp_path, before, after, found):
  with pytest.raises(UserError, match=found):
    table.read(write(tmp_path, GOOD.replace(before, after)))


def test_a_table_that_is_absent_is_said(tmp_path):
  with pytest.raises(UserError, match='absent.tsv: expected a table of runs, found none; name one'):
    table.read(str(tmp_path / 'absent.tsv'))


def test_the_tables_here_can_be_read_and_their_bases_are_there():
  paths = glob.glob(os.path.join(ROOT, 'gin', 'study', '*.tsv'))
  assert paths
  for path in paths:
    assert os.path.exists(os.path.join(ROOT, table.read(path).base)), path
