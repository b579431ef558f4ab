"""The graph of inference with a checkpoint's weights, and the same as constants without what only training needs.

Shapes: B batch, S sequence, P masked predictions, H hidden size, V vocabulary; None where only a session knows.
"""

import collections

import numpy as np
import tensorflow.compat.v1 as tf

from albert.common.errors import UserError
from albert.dataset.record_format import feature_length
from albert.model import names
from albert import modeling
from albert.run import loading

# Of a batch, ints or None: B, S and P.
Sizes = collections.namedtuple('Sizes', ['batch_size', 'max_seq_length', 'max_predictions_per_seq'])
# What one name of an export is called with and answers. inputs, outputs: OrderedDict of name to TensorInfo.
Signature = collections.namedtuple('Signature', ['inputs', 'outputs'])
# node: its name in the graph. dtype: 'int32' or 'float32'. shape: list of int or None.
TensorInfo = collections.namedtuple('TensorInfo', ['node', 'dtype', 'shape'])

# They give on what they get. The IdentityN are what is left of custom gradients.
_PASSING_ON = ('Identity', 'IdentityN', 'StopGradient', 'PreventGradient')
SUFFIX_OF_HALF = '/float16'


class Inference:
  """Signatures of a task over one checkpoint, in a session of its own.

  Attributes:
    signatures: OrderedDict of name to Signature.
    left_out: OrderedDict of name to the variables that the checkpoint has not: signatures that were asked for.
    weights: names of the variables that the signatures need.
  """

  def __init__(self, task, signatures, checkpoint, sizes):
    """Builds the graph and restores what it needs.

    Args:
      task: tasks.task.Task.
      signatures: list of names among task.signatures. The first is needed, others are left out where their heads are
        not there. A single one's outputs have their own names in the graph, several ones' lie below the signature's.
      checkpoint: prefix.
      sizes: Sizes.

    Raises:
      UserError: a variable of the first signature is missing, or one has another shape.
    """
    self.signatures, self.left_out = collections.OrderedDict(), collections.OrderedDict()
    shapes = loading.shapes_of(checkpoint)
    needed = {}
    with tf.Graph().as_default() as graph:
      fields = {}
      for name in signatures:
        signature = _signature(task, name, fields, sizes, '' if len(signatures) == 1 else name + '/')
        variables = _variables_of(signature, graph)
        missing = [v.op.name for v in variables if v.op.name not in shapes]
        if missing and name != signatures[0]:
          self.left_out[name] = missing
          continue
        _check_head(checkpoint, name, missing, shapes)
        self.signatures[name] = signature
        needed.update((v.op.name, v) for v in variables)
      loading.check_compatible(checkpoint, list(needed.values()))
      saver = tf.train.Saver(needed)
    self.weights = sorted(needed)
    self._session = tf.Session(graph=graph, config=tf.ConfigProto(device_count={'GPU': 0}))
    saver.restore(self._session, checkpoint)

  def __enter__(self):
    return self

  def __exit__(self, *unused):
    self._session.close()

  def run(self, name, inputs):
    """{output: array} of a signature, by the checkpoint's own graph. inputs: {field: int32 array}."""
    signature = self.signatures[name]
    return self._session.run({output: info.node + ':0' for output, info in signature.outputs.items()},
                             {info.node + ':0': inputs[field] for field, info in signature.inputs.items()})

  def frozen(self, float16=False):
    """The GraphDef with weights as constants and nothing but the operations of the answer.

    Args:
      float16: whether matrices are stored in half precision; the graph casts them to float32.

    Raises:
      UserError: a weight that half precision cannot hold.
    """
    outputs = [info.node for signature in self.signatures.values() for info in signature.outputs.values()]
    constants = tf.graph_util.convert_variables_to_constants(
        self._session, self._session.graph.as_graph_def(), outputs)
    plain = without_passing_on(constants, outputs)
    return _in_half_precision(plain, set(self.weights)) if float16 else plain


def _signature(task, name, fields, sizes, scope):
  """Adds a signature to the default graph. fields: {name: placeholder} so far, shared by all signatures."""
  for spec in task.features:
    if spec.name in task.signatures[name] and spec.name not in fields:
      fields[spec.name] = tf.placeholder(
          tf.int32, [sizes.batch_size, feature_length(spec, sizes.max_seq_length, sizes.max_predictions_per_seq)],
          name=spec.name)
  given = {spec.name: fields[spec.name] if spec.name in task.signatures[name] else None for spec in task.features}
  # Not named after the signature: that is the scope of what it answers.
  with tf.variable_scope(tf.get_variable_scope(), reuse=tf.AUTO_REUSE), tf.name_scope('graph_of_' + name):
    answers = task.serve(name, task.batch(given), modeling.default_ops())
  outputs = [(output, tf.identity(tensor, name=scope + output)) for output, tensor in answers.items()]
  inputs = [(field, fields[field]) for field in task.signatures[name]]
  return Signature(*[collections.OrderedDict(
      (key, TensorInfo(tensor.op.name, tensor.dtype.name, tensor.shape.as_list())) for key, tensor in pairs)
                     for pairs in (inputs, outputs)])


def _variables_of(signature, graph):
  """The variables that a signature's outputs depend on."""
  outputs = [info.node for info in signature.outputs.values()]
  reached = {node.name for node in tf.graph_util.extract_sub_graph(graph.as_graph_def(), outputs).node}
  return [v for v in tf.global_variables() if v.op.name in reached]


def _check_head(checkpoint, signature, missing, shapes):
  """Raises UserError if variables of a head are missing, and nothing else."""
  if missing and names.family(shapes) == names.ALBERT and all(
      names.part_of_model(name) != names.ENCODER for name in missing):
    raise UserError('{}: expected the head that --task={} answers with, found no {}; export another task or the '
                    'checkpoint that still has it'.format(checkpoint, signature, ', '.join(missing[:3])))


def without_passing_on(graph_def, outputs):
  """A GraphDef without nodes that give on what they get, control inputs, devices, and what no output needs.

  Args:
    graph_def: tf.GraphDef without functions.
    outputs: names of nodes, which stay whatever they are.
  """
  nodes = {node.name: node for node in graph_def.node}

  def origin(tensor):
    name, _, index = tensor.partition(':')
    while nodes[name].op in _PASSING_ON:
      name, _, index = nodes[name].input[int(index or 0)].partition(':')
    return '{}:{}'.format(name, index) if index and index != '0' else name

  plain = tf.GraphDef(versions=graph_def.versions)
  for node in graph_def.node:
    if node.op in _PASSING_ON and node.name not in outputs:
      continue
    copy = plain.node.add()
    copy.CopyFrom(node)
    copy.device = ''
    copy.attr.pop('_class', None)
    del copy.input[:]
    copy.input.extend(origin(tensor) for tensor in node.input if not tensor.startswith('^'))
  return tf.graph_util.extract_sub_graph(plain, list(outputs))


def _in_half_precision(graph_def, weights):
  """A GraphDef whose matrices among `weights`, names of constants, are stored as float16 and cast."""
  halved = tf.GraphDef(versions=graph_def.versions)
  for node in graph_def.node:
    value = tf.make_ndarray(node.attr['value'].tensor) if node.name in weights else None
    if value is None or value.ndim < 2:
      halved.node.add().CopyFrom(node)
      continue
    constant = halved.node.add(name=node.name + SUFFIX_OF_HALF, op='Const')
    constant.attr['dtype'].type = tf.float16.as_datatype_enum
    # Bytes: make_tensor_proto writes each number of this type as up to three.
    half = constant.attr['value'].tensor
    half.CopyFrom(tf.make_tensor_proto(0, tf.float16, value.shape))
    half.ClearField('half_val')
    half.tensor_content = in_half_precision(node.name, value).tobytes()
    cast = halved.node.add(name=node.name, op='Cast', input=[constant.name])
    cast.attr['SrcT'].type, cast.attr['DstT'].type = tf.float16.as_datatype_enum, tf.float32.as_datatype_enum
  return halved


def in_half_precision(name, value):
  """A float32 array as float16. Raises UserError if a value is too large for it."""
  with np.errstate(over='ignore'):
    half = value.astype(np.float16)
  if not np.isfinite(half).all():
    raise UserError('{}: expected values up to 65,504, which --float16 can hold, found {:.3g}; leave --float16 '
                    'out'.format(name, np.abs(value).max()))
  return half
