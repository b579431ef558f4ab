"""tools.check_learning: the bar that the smoke run has to pass."""

import json
import subprocess
import sys

import pytest

from albert.common.errors import UserError
from albert.common.files import ROOT
from tools import check_learning



def _run(folder):
  done = subprocess.run([sys.executable, '-m', 'tools.check_learning', '--output_dir=' + str(folder)], cwd=ROOT,
                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
  return done.returncode, done.stdout.decode()


def _write(folder, loss, unigram):
  heldout = {'masked_lm_loss': loss, 'unigram_cross_entropy': unigram}
  (folder / 'results.json').write_text(json.dumps({'heldout': heldout}))


def test_nats_gained():
  heldout = {'masked_lm_loss': 6.0, 'unigram_cross_entropy': 6.5}
  assert check_learning.nats_gained({'heldout': heldout}) == pytest.approx(0.5)
  with pytest.raises(UserError, match='heldout.unigram_cross_entropy'):
    check_learning.nats_gained({'heldout': {'masked_lm_loss': 6.0}})
  with pytest.raises(UserError, match='make eval'):
    check_learning.nats_gained({})


@pytest.mark.parametrize('loss, code', [(6.15, 0), (6.2, 1), (6.6, 1), (float('nan'), 1)])
def test_the_bar(tmp_path, loss, code):
  _write(tmp_path, loss, 6.47)
  status, text = _run(tmp_path)
  assert status == code
  assert text.count('\n') == 1
  assert text.startswith('it has learned: 0.32' if code == 0 else 'error: expected a held-out masked-LM loss')


def test_no_results_is_one_line(tmp_path):
  code, text = _run(tmp_path)
  assert code == 1 and text.startswith('error: expected the results of a run') and text.count('\n') == 1


@pytest.mark.parametrize('content', ['{"heldout": {"masked_lm_loss": null, "unigram_cross_entropy": 6.5}}', '{', '[]'])
def test_results_without_numbers_are_one_line(tmp_path, content):
  (tmp_path / 'results.json').write_text(content)
  code, text = _run(tmp_path)
  assert code == 1 and text.startswith('error: expected ') and text.count('\n') == 1
