"""README.md of a transformers folder: what the model is, and five lines that use it."""

import os
import re

import numpy as np

from albert.model import hugging_face
from albert.run import directory
from albert.run.directory import description_folders
from albert.run.names import BEST_FILE
from albert.run.names import COMMAND_LINE_FILE
from tools.conversion import fine_tuned

_USAGE = {
    'AlbertForSequenceClassification': """from transformers import pipeline

classify = pipeline('text-classification', model='.')
for found in classify(['今天天气很好。', '这家餐厅的菜太咸了。']):
  print(found['label'], round(found['score'], 4))
""",
    'AlbertForTokenClassification': """from transformers import pipeline

tag = pipeline('token-classification', model='.')
for found in tag('我在北京大学读书。'):
  print(found['word'], found['entity'], round(float(found['score']), 4))
""",
    'AlbertForQuestionAnswering': """from transformers import AutoModelForQuestionAnswering, AutoTokenizer

tokenizer, model = AutoTokenizer.from_pretrained('.'), AutoModelForQuestionAnswering.from_pretrained('.')
inputs = tokenizer('谁住在湖边？', '老余住在湖边。', return_tensors='pt')
outputs = model(**inputs)
print(outputs.start_logits.argmax().item(), outputs.end_logits.argmax().item())
""",
    'AlbertModel': """from transformers import AutoModel, AutoTokenizer

tokenizer, model = AutoTokenizer.from_pretrained('.'), AutoModel.from_pretrained('.')
outputs = model(**tokenizer('今天天气很好。', return_tensors='pt'))
print(outputs.last_hidden_state.shape)
""",
}
_FILL_MASK = """from transformers import pipeline

fill = pipeline('fill-mask', model='.')
for found in fill('今天天气很[MASK]。'):
  print(found['token_str'], round(found['score'], 4))
"""

_CARD = """---
language: zh
library_name: transformers
pipeline_tag: {tag}
---

# ALBERT, Chinese

{kind} of {parameters:,} parameters{identity}, converted from a TensorFlow checkpoint{step}.

| | |
| --- | --- |
| layers, of which with parameters of their own | {layers}, {groups} |
| hidden size, heads, feed-forward size | {hidden}, {heads}, {intermediate} |
| embedding size, vocabulary | {embedding}, {vocab:,} WordPiece tokens |
| longest sequence | {length} |
| activation | {activation} |
{more}
```python
{usage}```

The tokenizer is BertTokenizer over vocab.txt. Private-use characters (from U+E000) are dropped by it and were [UNK] in
training.
"""
_TAGS = {'AlbertForSequenceClassification': 'text-classification', 'AlbertForTokenClassification':
         'token-classification', 'AlbertForQuestionAnswering': 'question-answering', 'AlbertModel':
         'feature-extraction'}
_RECORDS = re.compile(r'^  data: .*\((.* records, vocabulary .*)\)$', re.MULTILINE)


def make(checkpoint, config, kind, tensors, vocabulary):
  """Text of the card.

  Args:
    checkpoint: reading.Checkpoint. config: AlbertConfig. kind: class of transformers.
    tensors: {name: array} of the folder. vocabulary: tokenization.Vocabulary.
  """
  more = ''.join('| {} | {} |\n'.format(*row) for row in (
      ('training data', _data(checkpoint)), ('held-out figures', _figures(checkpoint))) if row[1])
  identity = _size(value for name, value in tensors.items() if hugging_face.MAPPING.split('.')[-1] in name)
  return _CARD.format(
      tag=_TAGS.get(kind, 'fill-mask'), kind=kind, parameters=_size(tensors.values()),
      identity=' ({:,} of them an identity, as transformers maps width E to H even if they are equal)'.format(
          identity) if config.embedding_size == config.hidden_size else '',
      step='' if not checkpoint.step else ' of step {:,}'.format(checkpoint.step), layers=config.num_hidden_layers,
      groups=config.num_hidden_groups, hidden=config.hidden_size, heads=config.num_attention_heads,
      intermediate=config.intermediate_size, embedding=config.embedding_size, vocab=len(vocabulary),
      length=config.max_position_embeddings, activation={'gelu': 'gelu, tanh form'}.get(
          config.hidden_act, config.hidden_act), more=more, usage=_USAGE.get(kind, _FILL_MASK))


def _size(arrays):
  return sum(int(np.size(array)) for array in arrays)


def _data(checkpoint):
  """Counts of the data set that the run's command line names, or None. Not its path."""
  for folder in description_folders(checkpoint.path):
    try:
      with open(os.path.join(folder, COMMAND_LINE_FILE), encoding='utf-8') as source:
        matches = _RECORDS.findall(source.read())
    except OSError:
      continue
    if matches:
      return matches[-1]
  return None


def _figures(checkpoint):
  """Held-out figures of this very checkpoint, as best.json has them, or None."""
  path = directory.file_beside(checkpoint.path, BEST_FILE)
  best = fine_tuned.read_json(path) if path else {}
  if best.get('checkpoint') != os.path.basename(checkpoint.path):
    return None
  return ', '.join('{} {:.4f}'.format(name.replace('_', ' '), value) for name, value in sorted(best.items())
                   if isinstance(value, float))
