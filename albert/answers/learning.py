"""The line that says that nothing was learned, with the usual reasons, each of them checked. No TensorFlow."""

import collections
import math

from albert.labelled.labels import as_classes

# Rates that are usual up to a hidden size, as docs/finetuning.md has them: (hidden size, the default, lowest, highest).
# Measured, docs/results.md: at 128 nearly nothing at 1e-4 and at 3e-3 where 3e-4 or 1e-3 learned; at 312, after little
# pre-training, 5e-4.
_RATES = ((128, 1e-3, 3e-4, 1e-3), (384, 1e-4, 5e-5, 5e-4), (768, 5e-5, 2e-5, 1e-4), (1024, 2e-5, 1e-5, 5e-5),
          (math.inf, 1e-5, 5e-6, 3e-5))
# Parts that weights to start from have.
_PRETRAINED = ('embeddings', 'encoder', 'pooler')
# Of the tokens of training text; more of them unknown, and the vocabulary is one of another language or kind.
_MANY_UNKNOWN = 0.1
# Of training texts, that are looked at.
_SAMPLE = 500
# Of the entropy of the labels: training text that is known better than this was learned.
_KNOWN_SHARE = 0.7

# What the reasons are checked with. learning_rate: float. hidden_size: int. init: str, what was loaded, or None.
# train_losses: list of float, those of loss_history.tsv. fgm_epsilon, rate_multipliers: of the options.
Evidence = collections.namedtuple('Evidence', [
    'learning_rate', 'hidden_size', 'init', 'train_losses', 'fgm_epsilon', 'rate_multipliers'], defaults=[0.0, None])


def usual_rate(hidden_size):
  """The learning rate of a model of this size where none is given: float."""
  return _rates_of(hidden_size)[0]


def _rates_of(hidden_size):
  """(default, lowest, highest)."""
  return next(rates[1:] for rates in _RATES if hidden_size <= rates[0])


def line(doubt, evidence, train, tokenizer):
  """NOT LEARNED: what speaks against the figures, and three reasons.

  Args:
    doubt: str, of scoring.baseline.doubt.
    evidence: Evidence.
    train: list of Example, the training text.
    tokenizer: tokenization.Tokenizer.
  """
  return 'NOT LEARNED: {}. Checked: (1) {}{}; (2) {}; (3) {}'.format(
      doubt, _rate(evidence), _adversarial(evidence), _weights(evidence, train, tokenizer), _labels(evidence, train))


def _adversarial(evidence):
  """An adversarial step that is too long undoes every other one, whatever the rate."""
  return ', and finetune.fgm_epsilon={:g}: TRY A TENTH OF IT OR NONE'.format(
      evidence.fgm_epsilon) if evidence.fgm_epsilon else ''


def _shown(rate):
  """A learning rate as people write it: 1e-3, 1.4e-4."""
  mantissa, exponent = '{:.1e}'.format(rate).split('e')
  return '{:g}e{}'.format(float(mantissa), int(exponent))


def _rate(evidence):
  _, lowest, highest = _rates_of(evidence.hidden_size)
  usual = '{} to {} are usual for hidden size {}'.format(_shown(lowest), _shown(highest), evidence.hidden_size)
  multipliers = evidence.rate_multipliers or {}
  # A head that begins at random may well have ten times the rate of the rest.
  most = max(multipliers.get(part, 1.) for part in _PRETRAINED) or 1.
  rate = evidence.learning_rate * most
  shown = _shown(rate) + ', {:g} times {},'.format(most, _shown(evidence.learning_rate)) * (most != 1.)
  if rate > highest:
    said = 'THE RATE {} IS TOO HIGH, {}'.format(shown, usual)
  elif rate < lowest:
    said = 'THE RATE {} IS LOW, {}'.format(shown, usual)
  else:
    said = 'the rate {} is not too high, {}'.format(shown, usual)
  frozen = [part for part in _PRETRAINED if multipliers.get(part) == 0.]
  if not frozen:
    return said
  return said + (', and rate_multipliers=0 KEEPS {} AS RANDOM AS THEY BEGAN' if evidence.init is None
                 else ', and {} were frozen').format(' and '.join(frozen))


def _weights(evidence, train, tokenizer):
  share = unknown_share(train, tokenizer)
  unknown = '{:.1%} of the tokens of train are unknown to the vocabulary'.format(share)
  if share > _MANY_UNKNOWN:
    return 'ANOTHER VOCABULARY: ' + unknown
  return '{}, {}'.format(evidence.init or 'NO INIT: the weights began at random', unknown)


def unknown_share(examples, tokenizer):
  """The share of tokens that the vocabulary lacks, of the first examples."""
  counts = collections.Counter()
  unknown = tokenizer.vocabulary.unk_id
  for example in examples[:_SAMPLE]:
    for text in (example.text_a, example.text_b or ''):
      for piece in tokenizer.tokenize(text):
        counts[piece.id == unknown] += 1
  return counts[True] / max(1, sum(counts.values()))


def _labels(evidence, train):
  losses = [loss for loss in evidence.train_losses if math.isfinite(loss)]  # others are of updates that were skipped
  losses = losses[-max(1, len(losses) // 4):]
  loss, entropy = sum(losses) / len(losses) if losses else None, label_entropy(train)
  if loss is None or entropy is None:
    return 'more epochs may help; whether the answers follow from the text, somebody has to look at some of them'
  compared = 'the training loss came to {:.3f}, the labels alone have {:.3f} nats'.format(loss, entropy)
  if loss < _KNOWN_SHARE * entropy:
    return 'train was learned and dev was not, THE LABELS OF DEV MAY NOT FOLLOW FROM THE TEXT: ' + compared
  return 'train was not learned either, more epochs may help, or the labels do not follow from the text: ' + compared


def label_entropy(examples):
  """Nats of the labels of single classes; None for others."""
  classes = [as_classes(example.label) for example in examples
             if isinstance(example.label, (str, tuple)) and as_classes(example.label)]
  if len(classes) != len(examples) or not examples or any(
      len(entry) != 1 or not isinstance(entry[0], str) for entry in classes):
    return None
  shares = [number / len(examples) for number in collections.Counter(entry[0] for entry in classes).values()]
  return -sum(share * math.log(share) for share in shares)
