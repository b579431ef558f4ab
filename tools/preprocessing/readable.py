"""Records as Chinese to read: words, masks, labels, sentence order."""

from albert.common.errors import UserError
from albert.dataset import record_format
from tools.preprocessing import compact

LEGEND = ('words are set apart by spaces; 【词】 is masked, 【词→字】 is replaced by another token, 【词=】 is to be '
          'predicted but left as it is')


def describe(example, vocabulary, place='record'):
  """A record as text to print.

  Args:
    example: of example_writer.parse_example, with at least the features of the reference or of the compact format.
    vocabulary: `tokenization.Vocabulary`.
    place: names the record in errors.
  """
  if record_format.COMPACT_FEATURES[0].name in example:
    example = compact.unpack(example, len(example['word_lengths']))
  missing = [spec.name for spec in record_format.REFERENCE_FEATURES if spec.name not in example]
  if missing:
    raise UserError('{}: expected the features of the reference format, found no {}; make the data set '
                    'again'.format(place, ', '.join(missing)))
  length = int(example['input_mask'].sum())
  weights = example['masked_lm_weights'] > 0
  labels = dict(zip(example['masked_lm_positions'][weights].tolist(), example['masked_lm_ids'][weights].tolist()))
  ids = example['input_ids'][:length].tolist()
  if max(ids + list(labels.values())) >= len(vocabulary):
    raise UserError('{}: expected ids below {}, the size of the vocabulary, found {}; name the vocabulary that the '
                    'records were made with'.format(place, len(vocabulary), max(ids + list(labels.values()))))
  words = words_of(ids, example.get(record_format.TOKEN_BOUNDARY.name), vocabulary)
  segments = [[], []]
  for word in words:
    segments[int(example['segment_ids'][word[0]])].append(_word_text(word, ids, labels, vocabulary))
  order = 'swapped: B comes before A in the text' if example['next_sentence_labels'][0] else 'as in the text'
  return '\n'.join([
      '{} of {} positions used, {} masked ({:.1%}); sentence order {}'.format(
          length, len(example['input_ids']), len(labels), len(labels) / max(1, length), order),
      'A       ' + ' '.join(segments[0]),
      'B       ' + ' '.join(segments[1]),
      'labels  ' + _labels_text(words, ids, labels, vocabulary)])


def words_of(ids, boundary, vocabulary):
  """The words as lists of positions, without [CLS] and [SEP]. boundary: 1 where a word starts, or None: by `##`."""
  words = []
  for position, token in enumerate(ids):
    if token in (vocabulary.cls_id, vocabulary.sep_id):
      words.append([])
    elif not words or not words[-1] or _starts_word(position, token, boundary, vocabulary):
      words.append([position])
    else:
      words[-1].append(position)
  return [word for word in words if word]


def _starts_word(position, token, boundary, vocabulary):
  return boundary[position] if boundary is not None else not vocabulary.tokens[token].startswith('##')


def _word_text(word, ids, labels, vocabulary):
  """A word as it was in the text, in brackets if it is to be predicted."""
  original = _join([labels.get(position, ids[position]) for position in word], vocabulary)
  if not any(position in labels for position in word):
    return original
  changed = [ids[position] for position in word]
  if all(token == vocabulary.mask_id for token in changed):
    return '【{}】'.format(original)
  if all(labels.get(position, ids[position]) == ids[position] for position in word):
    return '【{}=】'.format(original)
  return '【{}→{}】'.format(original, _join(changed, vocabulary))


def _join(tokens, vocabulary):
  texts = (vocabulary.tokens[token] for token in tokens)
  return ''.join(text[2:] if text.startswith('##') and len(text) > 2 else text for text in texts)


def _labels_text(words, ids, labels, vocabulary):
  """Each masked word: its position, the tokens to be predicted and those of the input."""
  parts = []
  for word in words:
    masked = [position for position in word if position in labels]
    if masked:
      parts.append('{} {}←{}'.format(masked[0], ' '.join(vocabulary.tokens[labels[p]] for p in masked),
                                     ' '.join(vocabulary.tokens[ids[p]] for p in masked)))
  return '; '.join(parts) or 'none'
