"""Whether an export answers like its checkpoint: loaded in a fresh process, on random and on padded input."""

import json
import os
import subprocess
import sys
import tempfile

import numpy as np

from albert.common.errors import Diverged
from albert.common.errors import UserError

LIMIT = 1e-5  # of a float32 export, see deviation()
_SEED = 20191

# (sequences, tokens) where the export takes any: two shapes, so that neither is built in.
_FREE_SHAPES = ((3, 17), (2, 29))
_FREE_PREDICTIONS = 4


def check(folder_of_model, form, signatures, run, config, sizes):
  """The largest deviation of an export.

  Args:
    folder_of_model: what a runtime is given: a file, or the folder of a SavedModel.
    form: 'saved_model', 'pb' or 'onnx'.
    signatures: {name: inference.Signature}.
    run: function of (signature, inputs) that gives the checkpoint's own outputs.
    config: AlbertConfig.
    sizes: inference.Sizes.

  Returns:
    float, see deviation().

  Raises:
    UserError: it cannot be loaded, or answers in another form; Diverged: the checkpoint's own answers are not finite.
  """
  inputs = {(case, name): values for name, signature in signatures.items()
            for case, values in cases(signature.inputs, config, sizes).items()}
  answers = _answers(folder_of_model, form, signatures, inputs)
  worst = 0.0
  for (case, name), values in inputs.items():
    for output, expected in run(name, values).items():
      if not np.all(np.isfinite(expected)):
        raise Diverged('expected a checkpoint with finite answers, found NaN or infinity in its {}; its run has '
                       'diverged: name an earlier one, the export was removed'.format(output))
      answer = answers.get('/'.join([case, name, output]))
      if answer is None or answer.dtype != expected.dtype or answer.shape != expected.shape:
        raise UserError('{}: expected {} {} of {}, found {} in a fresh process; the export was removed'.format(
            folder_of_model, expected.dtype, expected.shape, output,
            'none' if answer is None else '{} {}'.format(answer.dtype, answer.shape)))
      worst = max(worst, deviation(answer, expected))
  return worst


def deviation(values, expected):
  """The largest difference of two arrays, divided by the largest expected value where that is above 1; inf for NaN."""
  if not values.size:
    return 0.0
  difference = np.max(np.abs(values.astype(np.float64) - expected))
  return float(difference / max(1.0, np.max(np.abs(expected)))) if np.isfinite(difference) else float('inf')


def cases(fields, config, sizes):
  """Inputs to compare on.

  Args:
    fields: names of the inputs.
    config: AlbertConfig.
    sizes: inference.Sizes.

  Returns:
    {case: {field: int32 array}}: 'random', whose rows are full, and 'padded', whose rows end early; the last of several
    rows is nothing but padding, as a server fills up a batch.
  """
  random = np.random.RandomState(_SEED)
  made = {}
  for case, (batch_size, length) in zip(('random', 'padded'), _FREE_SHAPES):
    batch_size = sizes.batch_size or batch_size
    length = sizes.max_seq_length or min(length, config.max_position_embeddings)
    tokens = np.full([batch_size], length)
    if case == 'padded':
      tokens = random.randint(1, length, batch_size) if length > 1 else tokens
      tokens[1:][-1:] = 0
    mask = (np.arange(length) < tokens[:, np.newaxis]).astype(np.int32)
    values = {
        'input_ids': random.randint(0, config.vocab_size, [batch_size, length]) * mask, 'input_mask': mask,
        'segment_ids': (np.arange(length) > length // 2) % config.type_vocab_size * mask,
        'masked_lm_positions': random.randint(
            0, length, [batch_size, sizes.max_predictions_per_seq or _FREE_PREDICTIONS])}
    made[case] = {field: values[field].astype(np.int32) for field in fields}
  return made


def _answers(model, form, signatures, inputs):
  """{'case/signature/output': array}, what a fresh process gives for {(case, signature): {field: array}}."""
  with tempfile.TemporaryDirectory() as scratch:
    job = {'format': form, 'model': os.path.abspath(model), 'inputs': os.path.join(scratch, 'inputs.npz'),
           'outputs': os.path.join(scratch, 'outputs.npz'),
           'signatures': {name: {kind: {key: info.node for key, info in infos.items()}
                                 for kind, infos in signature._asdict().items()}
                          for name, signature in signatures.items()}}
    np.savez(job['inputs'], **{'/'.join(key + (field,)): value
                               for key, values in inputs.items() for field, value in values.items()})
    path = os.path.join(scratch, 'job.json')
    with open(path, 'w', encoding='utf-8') as target:
      json.dump(job, target)
    program = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'alone.py')
    # -I: neither this folder nor PYTHONPATH; what is loaded is what a user of the export has. It hides PYTHONUTF8 too.
    done = subprocess.run([sys.executable, '-I', '-X', 'utf8', '-W', 'ignore', program, path], cwd=scratch,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode:
      lines = done.stdout.decode(errors='replace').strip().split('\n')
      raise UserError('{}: expected an export that a fresh process loads, found: {}; the export was removed'.format(
          model, lines[-1] or 'it ended with code {}'.format(done.returncode)))
    with np.load(job['outputs']) as arrays:
      return {key: arrays[key] for key in arrays.files}
