"""Examples with random tokens and words, to be masked."""

import numpy as np

from albert.dataset import masking_rules
from tools.preprocessing import assembly
from tools.preprocessing import encoding

CLS, SEP, MASK, PAD = 2, 3, 4, 0
FIRST_TEXT_ID, VOCAB_SIZE = 10, 300
REPLACEMENTS = list(range(20, 300, 2))


def options(**changes):
  values = dict(max_seq_length=64, max_predictions_per_seq=8, masked_lm_prob=0.1, cls_id=CLS, sep_id=SEP,
                mask_id=MASK, pad_id=PAD, replacement_ids=REPLACEMENTS, max_ngram=1)
  values.update(changes)
  return masking_rules.MaskingOptions(**values)


def make(count=400, lengths=(4, 31), word_sizes=(1, 2, 2, 3, 5), cut=0.05, seed=0):
  """Random `assembly.Examples`: each segment begins with a word."""
  random = np.random.RandomState(seed)
  heads = np.zeros(count, assembly.HEAD)
  heads['key'] = random.randint(0, 2**62, size=count)
  heads['lengths'] = random.randint(*lengths, size=(count, 2))
  heads['swapped'] = random.randint(0, 2, size=count)
  words = []
  for length in heads['lengths'].ravel():
    sizes = random.choice(word_sizes, size=length)
    flags = np.full(int(sizes.sum()), assembly.CONTINUES)
    flags[np.cumsum(sizes) - sizes] = np.where(random.rand(length) < cut, assembly.CUT, assembly.STARTS)
    words.append(flags[:length])
  words = np.concatenate(words) if words else np.zeros(0, int)
  ids = random.randint(FIRST_TEXT_ID, VOCAB_SIZE, size=len(words))
  return assembly.Examples(heads, encoding.pack(ids, words))


def rows_of(examples, batch):
  """Yields (head, ids, word flags, {feature: row}) of each example."""
  ids, words = encoding.ids_of(examples.tokens), encoding.words_of(examples.tokens)
  place = 0
  for number, head in enumerate(examples.heads):
    total = int(head['lengths'].sum())
    yield (head, ids[place:place + total].tolist(), words[place:place + total].tolist(),
           {name: values[number].tolist() for name, values in batch._asdict().items()})
    place += total
