"""Small folders of labelled text that a tiny model learns by heart, one for each kind of fine-tuning."""

import json
import os

import numpy as np

TOKENS = [chr(0x4E00 + i) for i in range(55)]
VOCAB = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]'] + TOKENS
_MARK = TOKENS[50]  # what an answer stands behind
_PERSONS, _PLACES = TOKENS[30:35], TOKENS[35:40]


def write_vocabulary(folder):
  """Path of a vocab.txt."""
  path = os.path.join(str(folder), 'vocab.txt')
  with open(path, 'w', encoding='utf-8') as target:
    target.write(''.join(token + '\n' for token in VOCAB))
  return path


def write(folder, kind, count=32, seed=0):
  """Writes train and the same texts as dev. kind: a gin file of gin/finetune. Returns the folder, a str."""
  folder = str(folder)
  os.makedirs(folder, exist_ok=True)
  random = np.random.RandomState(seed)
  texts = [''.join(random.choice(TOKENS[:30], random.randint(4, 20))) for _ in range(count)]
  lines, ending = _WRITERS[kind](texts, random)
  for split in ('train', 'dev'):
    with open(os.path.join(folder, split + ending), 'w', encoding='utf-8') as target:
      target.write(lines)
  return folder


def _json_lines(entries):
  return ''.join(json.dumps(entry, ensure_ascii=False) + '\n' for entry in entries), '.json'


def _class_of(text):
  return TOKENS.index(text[0]) % 3


def _classify(texts, random):
  return _json_lines({'sentence': text, 'label': 'class {}'.format(_class_of(text))} for text in texts)


def _pair(texts, random):
  return _json_lines({'sentence1': text, 'sentence2': text[::-1], 'label': _class_of(text)} for text in texts)


def _multi_label(texts, random):
  return _json_lines({'sentence': text, 'label': ['odd' if TOKENS.index(text[0]) % 2 else 'even'] + (
      ['late'] if TOKENS.index(text[1]) > 15 else [])} for text in texts)


def _regress(texts, random):
  return _json_lines({'sentence': text, 'label': TOKENS.index(text[0]) / 10.0 + 0.25} for text in texts)


def _tag(texts, random):
  sentences = []
  for text in texts:
    tagged = [(char, 'O') for char in text]
    for names, kind in ((_PERSONS, 'PER'), (_PLACES, 'LOC')):
      place = random.randint(0, len(tagged) + 1)
      while place < len(tagged) and tagged[place][1][0] == 'I':
        place += 1
      tagged[place:place] = [(random.choice(names), 'B-' + kind), (random.choice(names), 'I-' + kind)]
    sentences.append(''.join('{} {}\n'.format(*entry) for entry in tagged) + '\n')
  return ''.join(sentences), '.txt'


def _read(texts, random):
  articles = []
  for number, text in enumerate(texts):
    place = random.randint(0, len(text))
    answer = ''.join(random.choice(TOKENS[40:50], 2))
    articles.append({'context_id': str(number), 'context_text': text[:place] + _MARK + answer + text[place:],
                     'title': '', 'qas': [{'query_text': _MARK * 2, 'query_id': str(number), 'answers': [answer]}]})
  return json.dumps(articles, ensure_ascii=False), '.json'


_WRITERS = {'classify': _classify, 'pair': _pair, 'multi_label': _multi_label, 'regress': _regress, 'tag': _tag,
            'read': _read}
