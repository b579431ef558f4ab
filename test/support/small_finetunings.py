"""Fine-tuned models in this process that take seconds: a layer of 32 on the text of labelled_text."""

import os

import gin
import tensorflow as tf

from albert.common.files import ROOT
from albert.common import gin_settings

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
