"""albert.prediction: every row is answered as alone, in its order, by one graph and session."""

import os
import types

import numpy as np
import pytest

import random_models
from albert.common.errors import Diverged
from albert.common.errors import UserError
from albert.device.session_options import SessionOptions
from albert.model import names
from albert import npu_session
from albert import prediction
from albert.run import checkpoints
from albert.tasks.pretraining import Pretraining
from tools.conversion import numpy_albert

CONFIG = random_models.config()
ROWS = [[3, 7, 9, 4], [3, 4], None, [3] + list(range(6, 20)) + [4], [3, 11, 4], None, [3, 12, 13, 14, 4], [3, 8, 4]]


@pytest.fixture(scope='module')
def run(tmp_path_factory):
  folder = tmp_path_factory.mktemp('run')
  random_models.save(folder, CONFIG, random_models.weights(CONFIG))
  return str(folder)


def device():
  return npu_session.start(SessionOptions(device='cpu'))


@pytest.fixture(scope='module')
def predictor(run):
  model = prediction.find(run)
  with prediction.Predictor(Pretraining(model.config), 'masked_lm', model, device(), batch_size=2) as made:
    yield made


def fields(ids):
  return {'input_ids': ids, 'input_mask': [1] * len(ids), 'segment_ids': [0] * len(ids),
          'masked_lm_positions': [1] if len(ids) < 5 else [2, 1]}


def items(rows=ROWS):
  return [(number, None if ids is None else fields(ids)) for number, ids in enumerate(rows)]


@pytest.fixture(scope='module')
def expected(run):
  """For each row the logits of its places, of the plain graph; None where there is no row."""
  rows = [ids for ids in ROWS if ids]
  inputs, mask = np.zeros([len(rows), 17], int), np.zeros([len(rows), 17], bool)
  for number, ids in enumerate(rows):
    inputs[number, :len(ids)], mask[number, :len(ids)] = ids, True
  given = numpy_albert.Batch(inputs, np.zeros_like(inputs), mask)
  logits = random_models.graph_outputs(os.path.join(run, 'model.ckpt-7'), CONFIG, given)['masked_lm_logits']
  of_rows = iter(logits.reshape(len(rows), 17, -1))
  return [ids and next(of_rows)[fields(ids)['masked_lm_positions']] for ids in ROWS]


def assert_are(answers, expected):
  for (_, logits), wanted in zip(answers, expected):
    assert (logits is None) == (wanted is None)
    if wanted is not None:
      np.testing.assert_allclose(logits[:len(wanted)], wanted, atol=1e-5)


def read(number, answer):
  return number, answer and np.array(answer['logits'])


def test_each_row_is_answered_as_alone_and_in_its_order(predictor, expected, monkeypatch):
  monkeypatch.setattr(prediction, '_BATCHES_AT_ONCE', 2)  # so that there are several groups
  answers = list(predictor.answers(iter(items()), read))
  assert [number for number, _ in answers] == list(range(len(ROWS)))
  assert_are(answers, expected)


@pytest.mark.parametrize('is_prompt, most', [(True, 1), (False, 4)])
def test_no_more_rows_are_taken_than_are_answered_together(predictor, monkeypatch, is_prompt, most):
  monkeypatch.setattr(prediction, '_BATCHES_AT_ONCE', 2)
  taken = []
  def rows():
    for item in items():
      taken.append(item)
      yield item
  next(predictor.answers(rows(), read, is_prompt))
  assert len(taken) == most


def test_a_row_that_is_too_long_is_told(predictor):
  with pytest.raises(UserError, match='at most 17 tokens .*found 18'):
    list(predictor.answers(items([[3] * 18]), read))


def test_an_npu_sees_few_shapes_and_gives_the_same(run, expected, monkeypatch):
  monkeypatch.setattr(prediction, '_LENGTHS', (4, 8))
  monkeypatch.setattr(prediction, '_PLACES', (1,))
  model = prediction.find(run)
  npu = types.SimpleNamespace(kind='npu', gelu=None, session_config=device().session_config)
  with prediction.Predictor(Pretraining(model.config), 'masked_lm', model, npu, batch_size=3) as static:
    answers = list(static.answers(items(), read))
    shapes = sorted(static._programs)
  assert {shape[:2] for shape in shapes} <= {(3, 4), (3, 8), (3, 17)} and {shape[2] for shape in shapes} <= {1, 17}
  assert_are(answers, expected)


def test_only_the_weights_that_the_outputs_need_must_be_there(tmp_path):
  random_models.save(tmp_path, CONFIG, random_models.weights(CONFIG, parts=[names.ENCODER]))
  model = prediction.find(str(tmp_path))
  task = Pretraining(model.config)
  rows = [(None, {key: value for key, value in fields([3, 7, 4]).items() if key != 'masked_lm_positions'})]
  with prediction.Predictor(task, 'features', model, device(), outputs=['sequence_output']) as features:
    assert list(features.answers(rows, lambda item, answer: sorted(answer))) == [['sequence_output']]
  with pytest.raises(UserError, match='expected the head that answers features, found no bert/pooler'):
    prediction.Predictor(task, 'features', model, device())
  with pytest.raises(UserError, match='expected the head that answers masked lm, found no cls/predictions'):
    prediction.Predictor(task, 'masked_lm', model, device())


def test_the_best_checkpoint_of_a_run_is_taken_else_the_newest(tmp_path):
  run = tmp_path / 'run'
  run.mkdir()
  weights = random_models.weights(CONFIG)
  random_models.save(run, CONFIG, weights, step=7)
  assert prediction.find(str(run)).prefix == str(run / 'model.ckpt-7')
  (run / 'best').mkdir()
  random_models.save(run / 'best', CONFIG, weights, step=3)
  for path in (run, run / 'best', run / 'best' / 'model.ckpt-3'):
    assert prediction.find(str(path)).prefix == str(run / 'best' / 'model.ckpt-3')
  assert prediction.find(str(run / 'model.ckpt-7')).prefix == str(run / 'model.ckpt-7')


def _no(name):
  return lambda folder: os.remove(os.path.join(folder, name))


def _more_tokens(folder):
  with open(os.path.join(folder, 'vocab.txt'), 'a', encoding='utf-8') as target:
    target.write('more\n')


@pytest.mark.parametrize('spoil, message', [
    (_no('vocab.txt'), 'expected vocab.txt beside the weights, found none; copy'),
    (_no('albert_config.json'), 'expected albert_config.json beside the weights, found none; copy'),
    (_more_tokens, 'expected the 53 tokens of the weights, found 54; put'),
])
def test_weights_without_what_they_need_are_refused(tmp_path, spoil, message):
  random_models.save(tmp_path, CONFIG, random_models.weights(CONFIG))
  spoil(str(tmp_path))
  with pytest.raises(UserError, match=message):
    prediction.find(str(tmp_path))


def test_a_vocabulary_that_the_manifest_does_not_name_is_refused(tmp_path, monkeypatch):
  random_models.save(tmp_path, CONFIG, random_models.weights(CONFIG))
  monkeypatch.setattr(checkpoints, 'belongs_to', lambda prefix: {'vocabulary': 'f' * 64})
  with pytest.raises(UserError, match='expected the vocabulary that .* was trained with .*found another'):
    prediction.find(str(tmp_path))


@pytest.mark.parametrize('tensors, message', [
    ({'bert/encoder/layer_0/x': np.zeros(2, np.float32)}, 'expected weights of ALBERT, found BERT'),
    (dict(random_models.weights(CONFIG), **{'cls/predictions/output_bias': np.full(53, np.nan, np.float32)}),
     'expected finite weights, found NaN'),
])
def test_other_weights_are_refused(tmp_path, tensors, message):
  random_models.save(tmp_path, CONFIG, tensors)
  with pytest.raises(UserError, match=message):
    prediction.find(str(tmp_path))


def test_a_folder_of_hugging_face_is_told_how_it_is_converted(tmp_path):
  for name in ('config.json', 'model.safetensors'):
    (tmp_path / name).write_text('{}')
  with pytest.raises(UserError, match='from-hf'):
    prediction.find(str(tmp_path))


def test_letters_are_as_the_files_beside_the_weights_say_else_as_the_vocabulary_has_them(tmp_path):
  random_models.save(tmp_path, CONFIG, random_models.weights(CONFIG))
  assert prediction.find(str(tmp_path)).tokenizer.do_lower_case
  vocabulary = tmp_path / 'vocab.txt'
  vocabulary.write_text(vocabulary.read_text(encoding='utf-8').replace(chr(0x4E00 + 9), 'A'), encoding='utf-8')
  assert not prediction.find(str(tmp_path)).tokenizer.do_lower_case
  (tmp_path / 'source.json').write_text('{"do_lower_case": true}')
  assert prediction.find(str(tmp_path)).tokenizer.do_lower_case


def test_weights_that_give_no_numbers_are_told(tmp_path):
  """They are finite, but what is computed of them is not."""
  weights = {name: value * np.float32(1e30) for name, value in random_models.weights(CONFIG).items()}
  random_models.save(tmp_path, CONFIG, weights)
  model = prediction.find(str(tmp_path))
  with prediction.Predictor(Pretraining(model.config), 'masked_lm', model, device()) as huge:
    with pytest.raises(Diverged, match='model.ckpt-7: expected finite answers, found NaN or infinity in logits'):
      list(huge.answers(items(), read))
