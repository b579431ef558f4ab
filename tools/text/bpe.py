"""Byte-pair encoding with sentencepiece.

The trainer runs in a process of its own: beside TensorFlow 1.15, whose protocol-buffer library differs, it crashes.
"""

import io
import json
import subprocess
import sys

# The mark of sentencepiece at the front of a piece that begins a word.
WORD_BEGIN = '\u2581'


def train(words, size):
  """The pieces that BPE finds, in the order of its merges, then single letters; [str].

  Args:
    words: [(word, count)]; the order matters where counts are equal.
    size: the largest number of pieces, including the letters and sentencepiece's own three.

  Raises:
    RuntimeError: sentencepiece failed; its message.
  """
  child = subprocess.run([sys.executable, __file__], input=json.dumps([words, size]).encode('ascii'),
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE)
  if child.returncode:
    raise RuntimeError('sentencepiece: ' + child.stderr.decode('utf-8', 'replace'))
  return json.loads(child.stdout.decode('ascii'))


def _train(words, size):
  import sentencepiece
  # A word is repeated by its frequency, about 1,000 times at most: proportions matter, not counts.
  scale = max(1, words[0][1] // 1000)
  model = io.BytesIO()
  sentencepiece.SentencePieceTrainer.train(
      sentence_iterator=(word for word, number in words for _ in range(-(-number // scale))), model_writer=model,
      model_type='bpe', vocab_size=size, hard_vocab_limit=False, character_coverage=1.0,
      normalization_rule_name='identity', num_threads=1, minloglevel=2, input_sentence_size=0,
      max_sentence_length=1 << 16)
  processor = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
  return [processor.id_to_piece(index) for index in range(processor.get_piece_size())
          if not processor.is_unknown(index) and not processor.is_control(index)]


if __name__ == '__main__':
  json.dump(_train(*json.load(sys.stdin)), sys.stdout)
