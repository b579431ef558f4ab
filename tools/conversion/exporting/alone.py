"""Answers inputs with an exported model, as a program that knows nothing of this repository: it imports none of it.

    python -I alone.py JOB.json

The job names `format`, `model` (a path), `signatures`: {name: {"inputs": {name: node}, "outputs": {name: node}}},
`inputs` (.npz with arrays CASE/SIGNATURE/NAME) and `outputs` (.npz to write, with arrays of the same form).
"""

import json
import os
import sys
import warnings

import numpy as np


def _tensorflow():
  warnings.filterwarnings('ignore')
  os.environ['TF_CPP_MIN_LOG_LEVEL'] = '3'
  import tensorflow.compat.v1 as tf
  tf.logging.set_verbosity(tf.logging.ERROR)
  return tf


def saved_model(job):
  """Returns a function of (signature, inputs) that gives the outputs, both dicts of arrays."""
  tf = _tensorflow()
  session = tf.Session(graph=tf.Graph(), config=tf.ConfigProto(device_count={'GPU': 0}))
  definitions = tf.saved_model.load(session, [tf.saved_model.SERVING], job['model']).signature_def

  def answer(name, inputs):
    definition = definitions[name]
    return session.run({output: info.name for output, info in definition.outputs.items()},
                       {definition.inputs[field].name: value for field, value in inputs.items()})
  return answer


def pb(job):
  """As saved_model()."""
  tf = _tensorflow()
  definition = tf.GraphDef()
  with open(job['model'], 'rb') as source:
    definition.ParseFromString(source.read())
  session = tf.Session(graph=tf.Graph(), config=tf.ConfigProto(device_count={'GPU': 0}))
  with session.graph.as_default():
    tf.import_graph_def(definition, name='')

  def answer(name, inputs):
    nodes = job['signatures'][name]
    return session.run({output: node + ':0' for output, node in nodes['outputs'].items()},
                       {nodes['inputs'][field] + ':0': value for field, value in inputs.items()})
  return answer


def onnx(job):
  """As saved_model()."""
  import onnxruntime
  session = onnxruntime.InferenceSession(job['model'], providers=['CPUExecutionProvider'])
  names = [output.name for output in session.get_outputs()]

  def answer(name, inputs):
    del name  # there is one
    return dict(zip(names, session.run(names, inputs)))
  return answer


def main(path):
  """Answers every case of the job."""
  with open(path, encoding='utf-8') as source:
    job = json.load(source)
  answer = {'saved_model': saved_model, 'pb': pb, 'onnx': onnx}[job['format']](job)
  cases = {}
  with np.load(job['inputs']) as arrays:
    for key in arrays.files:
      case, signature, name = key.split('/')
      cases.setdefault((case, signature), {})[name] = arrays[key]
  outputs = {}
  for (case, signature), inputs in cases.items():
    outputs.update(('{}/{}/{}'.format(case, signature, name), value)
                   for name, value in answer(signature, inputs).items())
  np.savez(job['outputs'], **outputs)


if __name__ == '__main__':
  main(sys.argv[1])
