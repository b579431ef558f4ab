"""The probe finds what no shape shows. The text is what a model of the true form would write."""

import os

import numpy as np
import pytest

from albert.common.errors import UserError
from albert.common.files import ROOT
from albert.dataset.tokenization import Vocabulary
from albert.model import names
import early_chinese_test
import random_models
from tools.conversion import early_chinese
from tools.conversion import numpy_albert
from tools.conversion import probing
from tools.conversion.reading import Checkpoint

CONFIG = random_models.config(hidden_size=128, num_attention_heads=4, num_hidden_layers=3, max_position_embeddings=33)
GIVEN = numpy_albert.form_of(CONFIG)


def peaked(tensors):
  """A model that is sure of what it predicts, and whose attention counts."""
  def factor(name):
    return 12 if name == 'cls/predictions/transform/LayerNorm/gamma' else 4 if '/self/' in name else 1
  return {name: value * np.float32(factor(name)) for name, value in tensors.items()}


WEIGHTS = peaked(random_models.weights(CONFIG))


def written_by(model, form, permuted=False):
  """A stand-in for probing.sample: the labels are what a Model of this Form finds likeliest."""
  batch = random_models.batch(CONFIG, length=17)
  batch = numpy_albert.Batch(*[np.concatenate([values] * 8) for values in batch])
  batch = batch._replace(input_ids=np.random.RandomState(8).randint(0, 53, batch.input_ids.shape))
  masked = batch.input_mask & (np.random.RandomState(9).uniform(size=batch.input_mask.shape) < 0.5)
  sequence = model.encode(batch, form)
  logits = model.masked_lm_logits(sequence.reshape(-1, sequence.shape[-1]), form)
  labels = np.argmax(logits, axis=1).reshape(masked.shape)
  labels = (labels + 7) % 53 if permuted else labels
  counts = np.bincount(labels[masked], minlength=53)
  return probing.Sample(batch, masked, labels, int(masked.sum()), probing._unigram(counts, labels[masked]))


def probe(tmp_path, monkeypatch, true_form, config=CONFIG, permuted=False):
  """What the probe says of weights that were trained in `true_form`, with this configuration beside them."""
  tensors = written_by(numpy_albert.Model(WEIGHTS, CONFIG), true_form, permuted)
  monkeypatch.setattr(probing, 'sample', lambda *_: tensors)
  random_models.save(tmp_path, config, WEIGHTS)
  lines = []
  result = probing.probe(Checkpoint(str(tmp_path)), lines.append)
  assert len(lines) == 1 + len(result['tried'])
  assert sum('(as configured)' in line for line in lines) == 1
  return result


def test_the_right_configuration_has_no_problem(tmp_path, monkeypatch):
  result = probe(tmp_path, monkeypatch, GIVEN)
  assert result['problems'] == [] and result['notes'] == []
  assert result['tried'][0] == dict(GIVEN._asdict(), loss=pytest.approx(result['tried'][0]['loss']))
  assert sorted(form['heads'] for form in result['tried'] if form['activation'] == 'gelu tanh') == [1, 2, 4, 8]


@pytest.mark.parametrize('change, message', [
    ({'heads': 8}, 'change num_attention_heads to 8'), ({'heads': 2}, 'change num_attention_heads to 2'),
    ({'activation': 'relu'}, 'change hidden_act to relu'),
    ({'heads': 2, 'activation': 'relu'}, 'change num_attention_heads to 2 and hidden_act to relu')])
def test_another_form_is_found(tmp_path, monkeypatch, change, message):
  problems = probe(tmp_path, monkeypatch, GIVEN._replace(**change))['problems']
  assert len(problems) == 1 and problems[0].endswith(message)


def test_from_relu_to_gelu(tmp_path, monkeypatch):
  config = random_models.config(**dict(CONFIG.to_dict(), hidden_act='relu'))
  problems = probe(tmp_path, monkeypatch, GIVEN, config)['problems']
  assert len(problems) == 1 and problems[0].endswith('change hidden_act to gelu (tanh form)')


def test_another_vocabulary_is_told(tmp_path, monkeypatch):
  problems = probe(tmp_path, monkeypatch, GIVEN, permuted=True)['problems']
  assert problems[-1].startswith('vocabulary or weights: no form is better than a unigram model')


def test_pre_norm_is_found_in_the_early_chinese_family(tmp_path, monkeypatch):
  checkpoint = early_chinese_test.save(tmp_path, peaked(early_chinese_test.weights()), ln_type='postln')
  config, _ = early_chinese.configuration_of_any(checkpoint)
  model = numpy_albert.Model(early_chinese.convert(checkpoint.tensors(), config, None, 'here').tensors, config)
  verdict = written_by(model, numpy_albert.form_of(config)._replace(norm=numpy_albert.PRE))
  monkeypatch.setattr(probing, 'sample', lambda *_: verdict)
  problems = probing.probe(checkpoint, lambda line: None)['problems']
  assert 'ln_type to preln' in problems[0]


def losses_of(means, count=1000):
  """{Form: nats} with these means and a common noise, as forms have that are compared on the same tokens."""
  noise = np.random.RandomState(2).normal(size=count)
  return {form: noise - noise.mean() + mean for form, mean in means.items()}


OTHER = GIVEN._replace(heads=8)


@pytest.mark.parametrize('gain, problems, notes', [
    (0.6, 1, 0), (0.1, 1, 0), (0.01, 0, 1), (0.0005, 0, 0), (-0.5, 0, 0)])
def test_what_is_said_of_a_difference(gain, problems, notes):
  tried = losses_of({GIVEN: 4.0, OTHER: 4.0 - gain})
  verdict = probing._verdict(tried, GIVEN, 6.0)
  assert (len(verdict[0]), len(verdict[1])) == (problems, notes)


@pytest.mark.parametrize('difference, told', [(-0.01, True), (0.0, True), (0.004, True), (0.2, False), (-0.2, False)])
@pytest.mark.parametrize('given', ['gelu tanh', 'relu'])
def test_where_relu_and_gelu_cannot_be_told_apart_it_says_so(given, difference, told):
  right = GIVEN._replace(activation=given)
  other = right._replace(activation='relu' if given == 'gelu tanh' else 'gelu tanh')
  tried = losses_of({right: 4.0, other: 4.0 + difference, right._replace(heads=8): 4.3})
  problems, notes = probing._verdict(tried, right, 6.0)
  assert len(notes) == told and (not told or notes[0].startswith('activation: gelu and relu cannot be told '))
  assert len(problems) == (difference == -0.2)
  assert not told or '{:.4f} nats {} than {},'.format(
      abs(difference), 'better' if difference < 0 else 'worse', given) in notes[0]


def test_only_what_is_sure_is_to_be_changed():
  """Heads show, the activation does not; the erf form is never proposed where the tanh form is as good."""
  given = GIVEN._replace(heads=8, activation='relu')
  tried = losses_of({given: 4.3, given._replace(heads=4): 4.005, GIVEN: 4.0001,
                     GIVEN._replace(activation='gelu erf'): 4.0})
  problems, notes = probing._verdict(tried, given, 6.0)
  assert len(problems) == 1 and problems[0].endswith('change num_attention_heads to 4')
  assert notes == ['activation: gelu and relu cannot be told apart: gelu tanh is 0.0049 nats better than relu, too '
                   'little to be sure; what the source of these weights says counts']
  tried[given._replace(heads=4)] = tried[given._replace(heads=4)] + 0.2
  problems, notes = probing._verdict(tried, given, 6.0)
  assert problems[0].endswith('change num_attention_heads to 4 and hidden_act to gelu (tanh form)') and not notes


def test_where_nothing_helps_no_form_is_proposed():
  problems, notes = probing._verdict(losses_of({GIVEN: 7.4, OTHER: 7.2}), GIVEN, 6.5)
  assert len(problems) == 1 and problems[0].startswith('vocabulary or weights: ') and not notes


def test_half_a_nat_counts_however_noisy():
  tried = losses_of({GIVEN: 4.0, OTHER: 3.4}, count=10)
  tried[OTHER] = tried[OTHER] + np.linspace(-3, 3, 10)
  assert probing._verdict(tried, GIVEN, 6.0)[0]
  tried[OTHER] = tried[OTHER] + 0.3
  assert not probing._verdict(tried, GIVEN, 6.0)[0]


def test_losses_that_are_not_finite_are_worse_than_any():
  tried = {GIVEN: np.full(10, np.inf), OTHER: np.full(10, 3.0)}
  assert probing._verdict(tried, GIVEN, 6.0)[0][0].endswith('change num_attention_heads to 8')
  assert probing._verdict({GIVEN: np.full(10, np.inf)}, GIVEN, 6.0)[0][0].startswith('vocabulary or weights')


def test_the_sample_is_chinese_text_as_pre_training_masks_it():
  with open(os.path.join(ROOT, 'data', 'sample_zh.txt'), encoding='utf-8') as source:
    characters = sorted({char for char in source.read() if ord(char) > 127})
  vocabulary = Vocabulary(random_models.SPECIAL + characters)
  sample = probing.sample(vocabulary, True, 40, 32)
  batch, masked = sample.batch, sample.masked
  assert batch.input_ids.shape == (40, 32) and sample.count == masked.sum()
  assert 0.12 < masked.sum() / (sample.labels > 5).sum() < 0.18
  assert np.all(batch.input_ids[~masked] == sample.labels[~masked])
  assert 0.7 < np.mean(batch.input_ids[masked] == vocabulary.mask_id) < 0.9
  assert not np.isin(sample.labels[masked], [vocabulary.ids[token] for token in random_models.SPECIAL]).any()
  for ids, segments in zip(sample.labels, batch.segment_ids):
    assert ids[0] == vocabulary.cls_id and np.sum(ids == vocabulary.sep_id) == 2
    assert segments[np.flatnonzero(ids == vocabulary.sep_id)].tolist() == [0, 1]
  again = probing.sample(vocabulary, True, 40, 32)
  np.testing.assert_array_equal(again.batch.input_ids, batch.input_ids)
  assert 5 < sample.unigram < 7.5


def test_what_the_probe_needs(tmp_path):
  encoder = random_models.weights(CONFIG, (names.ENCODER, names.POOLER))
  random_models.save(tmp_path / 'encoder', CONFIG, encoder)
  with pytest.raises(UserError, match='expected a masked-LM head'):
    probing.probe(Checkpoint(str(tmp_path / 'encoder')))
  random_models.save(tmp_path / 'whole', CONFIG, WEIGHTS)
  (tmp_path / 'whole' / 'vocab.txt').write_text(''.join(t + '\n' for t in random_models.tokens(50)), encoding='utf-8')
  with pytest.raises(UserError, match='expected 53 tokens in the vocabulary beside it, found 50'):
    probing.probe(Checkpoint(str(tmp_path / 'whole')))


def test_a_vocabulary_for_other_text_is_told(tmp_path):
  random_models.save(tmp_path, CONFIG, WEIGHTS)
  tokens = random_models.SPECIAL + [chr(0x0E00 + index) for index in range(47)]
  (tmp_path / 'vocab.txt').write_text(''.join(token + '\n' for token in tokens), encoding='utf-8')
  result = probing.probe(Checkpoint(str(tmp_path)), lambda line: None)
  assert result['problems'][0].startswith('vocabulary: it knows only')
