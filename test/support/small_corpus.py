"""A small Chinese text and vocabulary for tests: real words in random sentences, the same on every machine."""

import os
import random

from tools.preprocessing import data_set
from tools.preprocessing import stages

_SUBJECTS = '我们 研究人员 老师傅 博物馆 这座城市 人工智能 图书馆 火车站 北京大学 气象台 小朋友 dna疫苗'.split()
_VERBS = '喜欢 认真地记录了 发现 重新修建 介绍 买了3.5公斤 慢慢地改变 保护 比较 想起'.split()
_OBJECTS = ('传统文化 苹果 历史悠久的建筑 春天的花 计算机系统 wifi信号 2016年的课程 南京老城 生活 '
            '环境 守株待兔 画龙点睛').split()
_ENDS = '。 ， ！ ？ ；'.split()


def sentence(generator):
  """A sentence of one to three clauses."""
  clauses = [generator.choice(_SUBJECTS) + generator.choice(_VERBS) + generator.choice(_OBJECTS)
             for _ in range(generator.randint(1, 3))]
  return ''.join(clause + generator.choice(_ENDS) for clause in clauses)


def documents(count=30, seed=1, most_sentences=8):
  """A list of documents, lists of sentences; every seventh has a single sentence."""
  generator = random.Random(seed)
  return [[sentence(generator) for _ in range(1 if number % 7 == 0 else generator.randint(2, most_sentences))]
          for number in range(count)]


def text(count=30, seed=1):
  """The documents as one text: a sentence per line, a blank line between documents."""
  return '\n\n'.join('\n'.join(document) for document in documents(count, seed)) + '\n'


def vocabulary_tokens():
  """Tokens that cover the text, except for some characters, which become [UNK]."""
  characters = sorted({char for char in text(200) if ord(char) > 127} - set('慢弈'))
  latin = list('abcdefghijklmnopqrstuvwxyz0123456789.,!?;')
  pieces = ['dna', 'wi', '##fi', '##a', '##1', '##6', '##0', '20', '##2', '##3', '##5']
  return ['[PAD]', '[unused1]', '[UNK]', '[CLS]', '[SEP]', '[MASK]', '<S>'] + characters + latin + pieces


def write(folder, content=None, tokens=None):
  """Writes text.txt and vocab.txt into a folder: their paths."""
  paths = [os.path.join(str(folder), name) for name in ('text.txt', 'vocab.txt')]
  with open(paths[0], 'wb') as target:
    target.write(content if isinstance(content, bytes) else (content or text()).encode('utf-8'))
  with open(paths[1], 'w', encoding='utf-8') as target:
    target.writelines(token + '\n' for token in tokens or vocabulary_tokens())
  return paths


def settings(vocab_file, **changes):
  """`stages.Settings` of a small data set."""
  values = dict(
      vocab_file=str(vocab_file), do_lower_case=True, do_whole_word_mask=True, segmenter='jieba', encoding='utf-8',
      skip_errors=False, max_seq_length=48, max_predictions_per_seq=7, masked_lm_prob=0.1, dupe_factor=3,
      short_seq_prob=0.1, random_seed=12345, records_per_shard=64, record_format='reference')
  values.update(changes)
  return stages.Settings(**values)


def create(folder, paths, force=False, **changes):
  """Makes a data set of what write() wrote: `data_set.Result`."""
  text_file, vocab_file = paths
  return data_set.create(settings(vocab_file, **changes), [text_file], str(folder), force)


def contents(folder, suffix=''):
  """{file name: bytes} of a folder."""
  bytes_of = {}
  for name in sorted(os.listdir(str(folder))):
    if name.endswith(suffix) and name != data_set.WORK_FOLDER:
      with open(os.path.join(str(folder), name), 'rb') as source:
        bytes_of[name] = source.read()
  return bytes_of
