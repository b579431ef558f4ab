"""Weights that load and are garbage: the masked-LM loss on the bundled Chinese text, as configured and otherwise.

Heads, activation, the place of the norms and the order of the vocabulary show in no shape. Each wrong one makes
the loss worse. The tokens that are predicted are the same for every form, so that small differences count.
"""

import collections
import math
import os

import numpy as np
from scipy import special

from albert.common.errors import UserError
from albert.common import files
from albert.dataset.tokenization import Tokenizer
from albert.model import names
from albert.run import directory
from tools.conversion import early_chinese
from tools.conversion import numpy_albert
from tools.conversion.numpy_albert import POST
from tools.conversion.numpy_albert import PRE
from tools.conversion import reading

SAMPLE = os.path.join(files.ROOT, 'data', 'sample_zh.txt')
_LENGTH = 128
_MASKED = 0.15
# FLOP of one forward pass, which the number of sequences is chosen by: a few seconds on two cores.
_WORK = 1.5e11
_FEWEST, _MOST = 6, 512
_AT_ONCE = 16  # sequences, whose intermediate results stay in the cache
_HEAD_SIZES = range(16, 257)  # of D = H / N; published models have 26 to 128
# A form is better if its loss is lower by this, in nats, or by a smaller difference that cannot be chance.
CLEARLY = 0.5
_AT_LEAST, _STANDARD_ERRORS = 0.02, 5
# Worth a word, without being sure: the two forms of gelu differ by less in any model.
_NOTABLE = 0.001

# The key of the configuration for each field of numpy_albert.Form.
_KEYS = {'heads': 'num_attention_heads', 'activation': 'hidden_act', 'norm': 'ln_type'}

# batch: numpy_albert.Batch. masked: bool [B, S], what is predicted. labels: whole numbers [B, S], the text's own ids.
# count: how many are predicted. unigram: float, nats of those under the frequencies of the whole text.
Sample = collections.namedtuple('Sample', ['batch', 'masked', 'labels', 'count', 'unigram'])


def sample(vocabulary, do_lower_case, count, length):
  """Sample of the bundled text. count: most sequences B; length: most tokens S of one."""
  tokenizer = Tokenizer(vocabulary, do_lower_case)
  with open(SAMPLE, encoding='utf-8') as source:
    documents = source.read().split('\n\n')
  documents = [[piece.id for piece in tokenizer.tokenize(text)] for text in documents]
  counts = np.bincount([token for document in documents for token in document], minlength=len(vocabulary))
  room = length - 3
  texts = [document[start:start + room] for document in documents for start in range(0, len(document), room)]
  random = np.random.RandomState(20190926)
  texts = [text for text in texts if len(text) * 2 > room]
  texts = [texts[index] for index in random.permutation(len(texts))[:count]]
  ids, segments = np.full([len(texts), length], vocabulary.pad_id), np.zeros([len(texts), length], int)
  for row, text in enumerate(texts):  # two segments, as in pre-training: a small model is lost without the second
    first = len(text) // 2
    ids[row, :len(text) + 3] = (
        [vocabulary.cls_id] + text[:first] + [vocabulary.sep_id] + text[first:] + [vocabulary.sep_id])
    segments[row, first + 2:len(text) + 3] = 1
  real = np.isin(ids, [vocabulary.pad_id, vocabulary.cls_id, vocabulary.sep_id, vocabulary.unk_id], invert=True)
  masked = real & (random.uniform(size=ids.shape) < _MASKED)
  batch = numpy_albert.Batch(_corrupted(ids, masked, vocabulary, random), segments, ids != vocabulary.pad_id)
  return Sample(batch, masked, ids, int(masked.sum()), _unigram(counts, ids[masked]))


def _corrupted(ids, masked, vocabulary, random):
  """As in pre-training: 80% of the `masked` are [MASK], 10% another token, 10% stay. Small models tell them apart."""
  chance = random.uniform(size=ids.shape)
  others = random.choice(vocabulary.replacement_ids(), size=ids.shape)
  return np.where(masked & (chance < 0.8), vocabulary.mask_id, np.where(masked & (chance < 0.9), others, ids))


def _unigram(counts, labels):
  return float(np.mean(np.log(counts.sum()) - np.log(counts[labels]))) if len(labels) else float('nan')


def losses(model, examples, form):
  """Nats of each label of a Sample under a numpy_albert.Model in a Form: float64 [R]."""
  nats = []
  for start in range(0, len(examples.batch.input_ids), _AT_ONCE):
    part = slice(start, start + _AT_ONCE)
    sequence = model.encode(numpy_albert.Batch(*[values[part] for values in examples.batch]), form)
    logits = model.masked_lm_logits(sequence[examples.masked[part]], form)  # [R, V]
    labels = examples.labels[part][examples.masked[part]]
    nats.append(special.logsumexp(logits, axis=1) - logits[np.arange(len(labels)), labels])
  return np.concatenate(nats).astype(np.float64)


def probe(checkpoint, log=print):
  """Tries a Checkpoint as configured and under its neighbours.

  Args:
    checkpoint: reading.Checkpoint with a masked-LM head, configuration and vocabulary beside it. Also one of the early
      Chinese family, which is tried with both places of its norms.
    log: called with a line for each form when it has been tried.

  Returns:
    {'unigram', 'labels', 'tried': [{'heads', 'activation', 'norm', 'loss'}], 'problems': [lines], 'notes': [lines]}.

  Raises:
    UserError: no masked-LM head, configuration or vocabulary.
  """
  model, config, given, norms = _load(checkpoint)
  vocabulary, lower = reading.vocabulary_of(checkpoint), directory.said_lower_case(checkpoint.path)
  if len(vocabulary) != config.vocab_size:
    raise UserError('{}: expected {} tokens in the vocabulary beside it, found {}; copy that of these weights'.format(
        checkpoint.path, config.vocab_size, len(vocabulary)))
  length = min(_LENGTH, config.max_position_embeddings)
  examples = sample(vocabulary, lower is not False, _sequences(config, length), length)
  if examples.count < 50:
    return {'unigram': None, 'labels': examples.count, 'tried': [], 'notes': [], 'problems': [
        'vocabulary: it knows only {} of the tokens to be masked in {}; it is for other text'.format(
            examples.count, os.path.basename(SAMPLE))]}
  log('{:,} masked tokens of {}; a unigram model: {:.4f} nats'.format(
      examples.count, os.path.basename(SAMPLE), examples.unigram))
  tried = _descend(lambda form: losses(model, examples, form), given, config.hidden_size, norms, log)
  problems, notes = _verdict(tried, given, examples.unigram)
  return {'unigram': examples.unigram, 'labels': examples.count,
          'tried': [dict(form._asdict(), loss=float(np.mean(nats))) for form, nats in tried.items()],
          'problems': problems, 'notes': notes}


def _load(checkpoint):
  """(numpy_albert.Model, AlbertConfig, Form as configured, the norms to try)."""
  tensors = checkpoint.tensors()
  if names.MASKED_LM not in names.parts_in(checkpoint.shapes):
    raise UserError('{}: expected a masked-LM head (cls/predictions/...) to probe with, found none; take the '
                    'checkpoint before fine-tuning'.format(checkpoint.path))
  if names.family(checkpoint.shapes) != names.EARLY_CHINESE:
    config = reading.config_of(checkpoint)
    return numpy_albert.Model(tensors, config), config, numpy_albert.form_of(config), (POST,)
  config, said = early_chinese.configuration_of_any(checkpoint)
  converted = early_chinese.convert(tensors, config, None, checkpoint.path)
  form = numpy_albert.form_of(config)._replace(norm=PRE if said == early_chinese.PRE_LN else POST)
  return numpy_albert.Model(converted.tensors, config), config, form, (POST, PRE)


def _sequences(config, length):
  h, i = config.hidden_size, config.intermediate_size
  work = config.num_hidden_layers * config.inner_group_num * (8 * h * h + 4 * h * i + 4 * length * h) * length
  return int(min(max(_WORK / work, _FEWEST), _MOST))


def neighbours(form, hidden_size, norms):
  """The Forms that differ from `form` in one field, heads of the given H that are not absurd."""
  heads = [n for n in range(1, hidden_size + 1) if hidden_size % n == 0 and hidden_size // n in _HEAD_SIZES]
  options = {'heads': heads, 'activation': list(numpy_albert.ACTIVATIONS), 'norm': norms}
  return [form._replace(**{field: value}) for field in form._fields for value in options[field]
          if getattr(form, field) != value]


def _descend(measure, given, hidden_size, norms, log):
  """OrderedDict {Form: nats of each label}: the given one, its neighbours, and again from a better one."""
  tried = collections.OrderedDict()

  def try_form(form):
    if form not in tried:
      with np.errstate(all='ignore'):
        tried[form] = np.nan_to_num(measure(form), nan=math.inf)
      log('{:<10} {:>3} heads  {:<9}  {}{}'.format(
          '{:.4f}'.format(np.mean(tried[form])), form.heads, form.activation, form.norm,
          '  (as configured)' if form == given else ''))

  try_form(given)
  centre = None
  best = given
  while best != centre:
    centre = best
    for form in neighbours(centre, hidden_size, norms):
      try_form(form)
    candidate = min(tried, key=lambda form: np.mean(tried[form]))
    best = candidate if _is_better(tried[candidate], tried[centre]) else centre
  return tried


def _is_better(a, b):
  """Whether losses a are lower than b of the same labels, by more than chance."""
  gain = b - a
  mean = float(np.mean(gain))
  if not math.isfinite(mean):
    return bool(np.isfinite(np.mean(a)))
  error = float(np.std(gain)) / math.sqrt(len(gain))
  return mean >= CLEARLY or mean >= max(_AT_LEAST, _STANDARD_ERRORS * error)


def _lowest(loss, given):
  """Of the Forms that are as good as the best one, that with the fewest changes. loss: {Form: float}."""
  lowest = min(loss.values())
  good = [form for form in loss if loss[form] <= lowest + _NOTABLE]
  # The erf form of gelu is as good as the tanh form, and nothing that could be configured.
  return min(good, key=lambda form: (sum(a != b for a, b in zip(form, given)), form.activation == 'gelu erf',
                                     loss[form]))


def _surest(tried, given, lowest):
  """The Form with those changes that cannot be chance: `lowest` with what was given where that is no worse."""
  if not _is_better(tried[lowest], tried[given]):
    return given
  chosen = lowest
  for field in given._fields:
    simpler = chosen._replace(**{field: getattr(given, field)})
    if simpler in tried and not _is_better(tried[chosen], tried[simpler]) and _is_better(tried[simpler], tried[given]):
      chosen = simpler
  return chosen


def _verdict(tried, given, unigram):
  """(problems, notes): lines that say which key to change, or that nothing helps."""
  loss = {form: float(np.mean(nats)) for form, nats in tried.items()}
  lowest = _lowest(loss, given)
  if not loss[lowest] < unigram:  # then the differences of forms mean nothing
    return ['vocabulary or weights: no form is better than a unigram model ({:.4f} against {:.4f} nats); the '
            'vocab.txt is that of other weights, or these learned nothing'.format(loss[lowest], unigram)], []
  chosen, problems, notes = _surest(tried, given, lowest), [], []
  if chosen != given:
    problems.append('configuration: {:.4f} nats better with another form ({:.4f} instead of {:.4f}); change {}'.format(
        loss[given] - loss[chosen], loss[chosen], loss[given], _changes(given, chosen)))
  gain = loss[chosen] - loss[lowest]
  if gain >= _NOTABLE and lowest._replace(activation=chosen.activation) != chosen:
    notes.append('configuration: {:.4f} nats better, too little to be sure, after a change of {}'.format(
        gain, _changes(chosen, lowest)))
  return problems, notes + _cannot_tell(tried, chosen)


def _cannot_tell(tried, chosen):
  """A line where the losses do not show whether the activation is relu or gelu; the two forms of gelu never do."""
  other = chosen._replace(activation='gelu tanh' if chosen.activation == 'relu' else 'relu')
  if other not in tried or _is_better(tried[chosen], tried[other]) or _is_better(tried[other], tried[chosen]):
    return []
  worse = float(np.mean(tried[other]) - np.mean(tried[chosen]))
  return ['activation: gelu and relu cannot be told apart: {} is {:.4f} nats {} than {}, too little to be sure; what '
          'the source of these weights says counts'.format(
              other.activation, abs(worse), 'worse' if worse >= 0 else 'better', chosen.activation)]


def _changes(before, after):
  return ' and '.join('{} to {}'.format(_KEYS[field], _value(field, getattr(after, field)))
                      for field in before._fields if getattr(after, field) != getattr(before, field))


def _value(field, value):
  if field == 'activation':
    return {'gelu tanh': 'gelu (tanh form)', 'gelu erf': 'the erf form of gelu, which this library does not '
            'have'}.get(value, value)
  return {POST: early_chinese.POST_LN, PRE: early_chinese.PRE_LN + ', which cannot be converted'}.get(value, value)
