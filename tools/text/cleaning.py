"""Cleaning of documents before they are segmented. All of it is off by default, and each change is counted."""

import collections
import hashlib
import re
import unicodedata

import numpy as np

from albert.common import same_text
from albert.dataset import tokenization
from tools.text import corpus

NORMALIZATIONS = ('none', 'width', 'nfkc')
DUPLICATES = ('keep', 'exact', 'near')

Options = collections.namedtuple('Options', [
    'normalization', 'drop_control_characters', 'split_sentences', 'min_characters', 'min_han_share', 'duplicates',
    'near_duplicate_threshold', 'text_field', 'documents'],
    defaults=['none', False, False, 0, 0.0, 'keep', 0.8, '', corpus.BLANK_LINE])
Options.__doc__ = """The steps of cleaning, in this order.

normalization: 'width' makes full-width letters and digits half-width; 'nfkc' is Unicode's, except that full-width
  punctuation, which Chinese uses, stays.
drop_control_characters: of Unicode's categories Cc and Cf. (The tokenizer ignores them, the segmenter does not.)
split_sentences: after the marks that end them, for text that is not one sentence per line.
min_characters, min_han_share: documents with fewer characters, or a smaller share of Han characters, are left out.
duplicates: 'exact' leaves out documents whose text came before, 'near' also those that are similar to one before.
near_duplicate_threshold: Jaccard similarity of the sets of SHINGLE-character strings.
text_field: the corpus is JSON lines, an object with this field, or several, for each document; '': it is text.
documents: of `corpus.DOCUMENTS`, what a document of text is.
"""

# Near-duplicates are compared by their sets of strings of this number of characters.
SHINGLE = 5
# Numbers of a MinHash signature.
SIGNATURE = 64

_FULL_WIDTH = {point: point - 0xFEE0 for first, last in ((0xFF10, 0xFF19), (0xFF21, 0xFF3A), (0xFF41, 0xFF5A))
               for point in range(first, last + 1)}
_NOT_CHINESE_PUNCTUATION = re.compile('[^\uff01-\uff0f\uff1a-\uff20\uff3b-\uff40\uff5b-\uff65\u2026]+')


def clean(documents, options, counts, skipped):
  """Yields the cleaned `corpus.Document`s of an iterable, without those that are left out.

  Adds to counts (Counter) and skipped ([(line, why)]).
  """
  for document in documents:
    sentences = [_clean_sentence(sentence, options, counts) for sentence in document.sentences]
    if options.split_sentences:
      counts['split_sentences'] -= len(sentences)
      sentences = [part for sentence in sentences for part in corpus.split_sentences(sentence)]
      counts['split_sentences'] += len(sentences)
    why = _fault(sentences, options)
    if why:
      counts['documents_' + why.replace(' ', '_')] += 1
      skipped.append((document.line, 'document with ' + why))
    else:
      yield document._replace(sentences=[sentence for sentence in sentences if sentence])


def _clean_sentence(sentence, options, counts):
  cleaned = sentence
  if options.normalization != 'none':
    cleaned = normalize(cleaned, options.normalization)
    counts['normalized_sentences'] += cleaned != sentence
  if options.drop_control_characters:
    kept = ''.join(char for char in cleaned if unicodedata.category(char) not in ('Cc', 'Cf'))
    counts['control_characters'] += len(cleaned) - len(kept)
    cleaned = kept
  return cleaned.strip()


def normalize(text, normalization):
  """Text after the `normalization` of `Options`."""
  if normalization == 'width':
    return text.translate(_FULL_WIDTH)
  return _NOT_CHINESE_PUNCTUATION.sub(lambda match: unicodedata.normalize('NFKC', match.group()), text)


def _fault(sentences, options):
  """The reason to leave a document out, or None."""
  size = sum(map(len, sentences))
  if size < options.min_characters:
    return 'few characters'
  if options.min_han_share and sum(
      tokenization.is_han(char) for sentence in sentences for char in sentence) < options.min_han_share * size:
    return 'little Han text'
  return None


def text_hash(document):
  """64 bits that documents of the same text share: int."""
  digest = hashlib.blake2b('\n'.join(document.sentences).encode('utf-8', 'surrogatepass'), digest_size=8)
  return int.from_bytes(digest.digest(), 'little')


def content_hash(document):
  """64 bits that documents share whose texts are the same to whoever holds some of them out: int. See `same_text`."""
  return same_text.key(''.join(document.sentences))


def signature(document):
  """MinHash of a document's shingles: uint32 [SIGNATURE]. Broder, On the resemblance and containment, 1997."""
  import datasketch  # with scipy 0.5 s, and only here
  text = ''.join(document.sentences)
  shingles = {text[place:place + SHINGLE] for place in range(max(1, len(text) - SHINGLE + 1))}
  minhash = datasketch.MinHash(num_perm=SIGNATURE, seed=1)
  minhash.update_batch([shingle.encode('utf-8', 'surrogatepass') for shingle in sorted(shingles)])
  return minhash.hashvalues.astype(np.uint32)
