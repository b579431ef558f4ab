"""Fine-tuned models in this process that take seconds: a layer of 32 on the text of labelled_text."""

import json
import os

import gin
import numpy as np
import tensorflow as tf

import random_models
from albert.common.files import ROOT
from albert.common import gin_settings
from albert.labelled.labels import Labels
from albert.labelled.options import LabelledOptions
from albert.model import names
from albert.tasks import labelled_tasks

SETTINGS = (
    'AlbertConfig.embedding_size = 16', 'AlbertConfig.hidden_size = 32', 'AlbertConfig.num_hidden_layers = 1',
    'AlbertConfig.num_attention_heads = 2', 'AlbertConfig.intermediate_size = 64',
    'AlbertConfig.initializer_range = 0.1', "SessionOptions.device = 'cpu'", 'SessionOptions.cpu_towers = 1',
    'finetune.train_batch_size = 16', 'finetune.head_dropout = 0.0', 'OptimizerOptions.learning_rate = 0.01',
    'FinetuneData.max_seq_length = 32', 'FinetuneData.doc_stride = 8')


def begin(kind, *bindings):
  """What a start of the program is for gin. kind: a file of gin/finetune; bindings: str."""
  tf.reset_default_graph()
  gin.clear_config()
  gin_settings.parse([os.path.join(ROOT, 'gin', 'finetune', kind + '.gin')], list(SETTINGS + bindings))


def save(folder, kind, labels, model_config, **data):
  """Writes a model with random weights as the folder of a fine-tuned run. Returns the folder, a str.

  Args:
    folder: path. kind: one of labelled.options.KINDS. labels: list of str; of `tag` the head is a CRF.
    model_config: AlbertConfig. **data: of LabelledOptions.
  """
  head = labelled_tasks.HeadOptions(len(labels) or 2, crf=kind == 'tag')
  tensors = random_models.weights(model_config, parts=(names.ENCODER, names.POOLER))
  random, classes = np.random.RandomState(3), head.classes
  scope = labelled_tasks.KINDS[kind].scope
  shapes = {'output_weights': [classes, model_config.hidden_size], 'output_bias': [classes]}
  if head.crf:
    shapes.update(transitions=[classes, classes], start_transitions=[classes], end_transitions=[classes])
  tensors.update({os.path.join(scope, name): random.randn(*shape).astype('f') for name, shape in shapes.items()})
  random_models.save(folder, model_config, tensors)
  described = labelled_tasks.Maker(kind, head, labelled_tasks.Judged([], [], None)).described()
  with open(os.path.join(str(folder), 'task.json'), 'w', encoding='utf-8') as target:
    json.dump(dict(described, data=vars(LabelledOptions(**data)), do_lower_case=True, pair=kind == 'read'), target)
  Labels(kind, labels).save(os.path.join(str(folder), 'labels.json'))
  return str(folder)
