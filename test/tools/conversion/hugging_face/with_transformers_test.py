"""Against the real thing: HF_PYTHON names a Python with torch and transformers. Without it these are skipped."""

import collections
import json
import os
import subprocess

import numpy as np
import pytest

from albert.common.files import ROOT
from albert.dataset.tokenization import Tokenizer
from albert.dataset.tokenization import Vocabulary
from albert.model import names
import random_models
from tools.conversion.hugging_face import folder
from tools.conversion import numpy_albert
from tools.conversion.reading import Checkpoint

PROGRAM = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'transformers_side.py')
pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(not os.environ.get('HF_PYTHON'), reason='HF_PYTHON does not name a Python with transformers')]

LATIN = [chr(code) for code in range(ord('a'), ord('z') + 1)] + list('0123456789.,!?;:()"')
TEXT = '今天天气很[MASK]。'
ENCODER = (names.ENCODER, names.POOLER)
ALL = ENCODER + (names.MASKED_LM, names.SENTENCE_ORDER)
HEADS = collections.OrderedDict([
    ('AlbertForPreTraining', (ALL, None, None)), ('AlbertForMaskedLM', ((names.ENCODER, names.MASKED_LM), None, None)),
    ('AlbertModel', (ENCODER, None, None)), ('AlbertForSequenceClassification', (ENCODER, 'classify', 'output')),
    ('AlbertForTokenClassification', (ENCODER, 'tag', 'output')),
    ('AlbertForQuestionAnswering', (ENCODER, 'read', 'cls/squad/output'))])


def sample_lines():
  with open(os.path.join(ROOT, 'data', 'sample_zh.txt'), encoding='utf-8') as source:
    return [line for line in source.read().split('\n') if line]


def vocabulary_tokens():
  characters = sorted({char for line in sample_lines() for char in line if ord(char) > 127})
  pieces = ['##' + char for char in LATIN[:36]]
  return random_models.SPECIAL + characters[:-40] + LATIN + pieces + ['gps', '##wifi', '20', '##19']


class Exchange:
  """What was given to transformers and what it said."""

  def __init__(self, root):
    self.root = root
    tokens = vocabulary_tokens()
    self.config = random_models.config(vocab_size=len(tokens), max_position_embeddings=64, num_hidden_groups=2,
                                       num_hidden_layers=4, type_vocab_size=2)
    self.vocabulary = Vocabulary(tokens)
    self.batch = random_models.batch(self.config)
    for kind, (parts, task, head) in HEADS.items():
      self._write(kind, parts, task, head, tokens)
    others = ['GPS-7号', 'Café 3.5', ' 2019年wifi', '\u3000ＡＢ①'] * 25
    self.lines = sample_lines()[:900] + [line + other for line, other in zip(sample_lines(), others)]
    np.savez(os.path.join(root, 'batch.npz'), input_ids=self.batch.input_ids, segment_ids=self.batch.segment_ids,
             input_mask=self.batch.input_mask.astype(np.int64))
    for name, content in (('lines.json', json.dumps(self.lines)), ('text.txt', TEXT)):
      with open(os.path.join(root, name), 'w', encoding='utf-8') as target:
        target.write(content)
    environment = dict(os.environ, HF_HUB_OFFLINE='1', TRANSFORMERS_OFFLINE='1')
    environment.pop('PYTHONPATH', None)
    subprocess.check_call([os.environ['HF_PYTHON'], PROGRAM, root], env=environment)
    with open(os.path.join(root, 'said.json'), encoding='utf-8') as source:
      self.said = json.load(source)

  def _write(self, kind, parts, task, head, tokens):
    tensors = random_models.weights(self.config, parts)
    if head:
      tensors[head + '_weights'] = np.random.RandomState(3).normal(size=[2, 21]).astype(np.float32)
      tensors[head + '_bias'] = np.float32([0.5, -0.25])
    run = os.path.join(self.root, 'run-' + kind)
    random_models.save(run, self.config, tensors)
    with open(os.path.join(run, 'vocab.txt'), 'w', encoding='utf-8') as target:
      target.write(''.join(token + '\n' for token in tokens))
    if task:
      with open(os.path.join(run, 'labels.json'), 'w', encoding='utf-8') as target:
        json.dump(['好', '坏'], target)
    folder.write(Checkpoint(run), os.path.join(self.root, kind), task=task)

  def ours(self, kind):
    """{name: array} of this library for the batch: sequence_output and what has a head."""
    checkpoint = Checkpoint(os.path.join(self.root, 'run-' + kind))
    outputs = numpy_albert.outputs(checkpoint, self.config, self.batch)
    head = HEADS[kind][2]
    if head:
      rows = outputs['pooled_output' if kind == 'AlbertForSequenceClassification' else 'sequence_output']
      outputs['logits'] = rows @ checkpoint.tensor(head + '_weights').T + checkpoint.tensor(head + '_bias')
    return outputs

  def theirs(self, kind):
    return dict(np.load(os.path.join(self.root, 'outputs-{}.npz'.format(kind))))


@pytest.fixture(scope='module')
def exchange(tmp_path_factory):
  return Exchange(str(tmp_path_factory.mktemp('exchange')))


@pytest.mark.parametrize('kind', list(HEADS))
def test_the_folder_loads_with_nothing_missing_or_unexpected(exchange, kind):
  said = exchange.said[kind]
  labels = said.pop('labels')
  assert [key for key, value in said.items() if value] == []
  if HEADS[kind][1] in ('classify', 'tag'):
    assert list(labels.values()) == ['好', '坏']


def test_pretraining_logits(exchange):
  ours, theirs = exchange.ours('AlbertForPreTraining'), exchange.theirs('AlbertForPreTraining')
  random_models.assert_close(theirs['prediction_logits'].reshape(-1, exchange.config.vocab_size),
                             ours['masked_lm_logits'])
  random_models.assert_close(theirs['sop_logits'], ours['sentence_order_logits'])
  graph = random_models.graph_outputs(Checkpoint(os.path.join(exchange.root, 'run-AlbertForPreTraining')).path,
                                      exchange.config, exchange.batch)
  random_models.assert_close(theirs['prediction_logits'].reshape(-1, exchange.config.vocab_size),
                             graph['masked_lm_logits'])


def test_logits_of_the_other_classes(exchange):
  theirs = {kind: exchange.theirs(kind) for kind in HEADS}
  ours = {kind: exchange.ours(kind) for kind in HEADS}
  random_models.assert_close(theirs['AlbertForMaskedLM']['logits'].reshape(-1, exchange.config.vocab_size),
                             ours['AlbertForMaskedLM']['masked_lm_logits'])
  random_models.assert_close(theirs['AlbertModel']['last_hidden_state'], ours['AlbertModel']['sequence_output'])
  random_models.assert_close(theirs['AlbertModel']['pooler_output'], ours['AlbertModel']['pooled_output'])
  for kind in ('AlbertForSequenceClassification', 'AlbertForTokenClassification'):
    random_models.assert_close(theirs[kind]['logits'], ours[kind]['logits'])
  spans = theirs['AlbertForQuestionAnswering']
  random_models.assert_close(np.stack([spans['start_logits'], spans['end_logits']], -1),
                             ours['AlbertForQuestionAnswering']['logits'])


def test_the_tokenizer_gives_the_same_ids(exchange):
  tokenizer = Tokenizer(exchange.vocabulary)
  assert len(exchange.lines) == 1000
  different = [line for line, ids in zip(exchange.lines, exchange.said['ids'])
               if [piece.id for piece in tokenizer.tokenize(line)] != ids]
  assert different == []
  vocabulary = exchange.vocabulary
  assert exchange.said['special'] == [vocabulary.pad_id, vocabulary.unk_id, vocabulary.cls_id, vocabulary.sep_id,
                                      vocabulary.mask_id]


def test_fill_mask_gives_our_top_five(exchange):
  vocabulary, tokenizer = exchange.vocabulary, Tokenizer(exchange.vocabulary)
  before, after = [[piece.id for piece in tokenizer.tokenize(part)] for part in TEXT.split('[MASK]')]
  ids = np.array([[vocabulary.cls_id] + before + [vocabulary.mask_id] + after + [vocabulary.sep_id]])
  checkpoint = Checkpoint(os.path.join(exchange.root, 'run-AlbertForPreTraining'))
  outputs = numpy_albert.outputs(checkpoint, exchange.config,
                               numpy_albert.Batch(ids, np.zeros_like(ids), np.ones_like(ids, bool)))
  logits = outputs['masked_lm_logits'][1 + len(before)].astype(np.float64)
  best = np.argsort(-logits)[:5]
  assert [token for token, _ in exchange.said['filled']] == best.tolist()
  expected = np.exp(logits - np.log(np.sum(np.exp(logits - logits.max()))) - logits.max())[best]
  np.testing.assert_allclose([score for _, score in exchange.said['filled']], expected, rtol=1e-4)


@pytest.mark.parametrize('kind', list(HEADS))
def test_the_usage_in_the_card_runs(exchange, kind):
  assert exchange.said['usage'][kind]


@pytest.mark.parametrize('name', ['saved', 'zip', 'older'])
def test_a_folder_that_transformers_saved_comes_in(exchange, tmp_path, name):
  folder.read(os.path.join(exchange.root, name), str(tmp_path / 'run'))
  run = Checkpoint(str(tmp_path / 'run'))
  original = Checkpoint(os.path.join(exchange.root, 'run-AlbertForPreTraining'))
  assert run.model_weights() == original.model_weights()
  for variable in run.model_weights():
    assert run.tensor(variable).tobytes() == original.tensor(variable).tobytes()
  with open(str(tmp_path / 'run' / 'vocab.txt'), encoding='utf-8') as source:
    assert source.read().split('\n')[:-1] == exchange.vocabulary.tokens
