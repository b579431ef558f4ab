"""Export and conversion of fine-tuned folders: the signature of their kind, and what describes the labels."""

import os

import numpy as np
import pytest
import tensorflow as tf

import random_models
import small_finetunings
from albert.answers import fine_tuned
from tools.conversion.exporting import export
from tools.conversion.exporting.inference import Sizes

CONFIG = random_models.config()
INPUTS = ['input_ids', 'input_mask', 'segment_ids']
EXPORTED = {
    'classify': (['down', 'middle', 'up'], {'logits': [None, 3], 'probabilities': [None, 3], 'label': [None]}),
    'tag': (['O', 'B-A', 'I-A'], {'logits': [None, None, 3]}),
    'read': ([], {'logits': [None, None, 2], 'start_logits': [None, None], 'end_logits': [None, None]})}


@pytest.mark.integration
@pytest.mark.parametrize('kind', sorted(EXPORTED))
def test_a_fine_tuned_folder_is_exported_with_its_own_signature(kind, tmp_path):
  labels, outputs = EXPORTED[kind]
  (tmp_path / 'run').mkdir()
  folder = small_finetunings.save(tmp_path / 'run', kind, labels, CONFIG, max_seq_length=16)
  out = str(tmp_path / 'export')
  report = export.export(folder, out, export.Options('saved_model', None, Sizes(None, None, None), False, False))
  signature = report['signatures'][kind]
  assert report['task'] == kind and list(report['signatures']) == [kind] and sorted(signature['inputs']) == INPUTS
  assert {name: shape for name, (_, shape) in signature['outputs'].items()} == outputs
  assert sorted(os.listdir(os.path.join(out, 'assets.extra'))) == [
      'albert_config.json', 'export.json', 'labels.json', 'task.json', 'vocab.txt']


def test_probabilities_and_the_label_go_with_the_logits(tmp_path):
  folder = small_finetunings.save(tmp_path, 'classify', EXPORTED['classify'][0], CONFIG, max_seq_length=16)
  task = fine_tuned.find(folder).task
  with tf.Session() as session:
    probabilities, label = session.run([tensor for _, tensor in task.served(tf.constant([[0., 2., 1.]]))])
  assert label.dtype == np.int32 and label.tolist() == [1] and probabilities.sum() == pytest.approx(1.)
