"""The three formats: each writes a GraphDef of constants into a folder.

    saved_model   saved_model.pb with the signatures and, in assets.extra/, what describes the weights
    pb            model.pb of fixed shapes, and atc.txt, the command that compiles it for an Ascend
    onnx          model.onnx, opset 13
"""

import contextlib
import io
import os
import shlex

import numpy as np
import tensorflow.compat.v1 as tf

from albert.common.errors import UserError
from tools.conversion.exporting import inference

SAVED_MODEL, PB, ONNX = FORMATS = ('saved_model', 'pb', 'onnx')
# Of these every size is known to the session only.
DYNAMIC = (SAVED_MODEL, ONNX)
MODEL_FILES = {SAVED_MODEL: '.', PB: 'model.pb', ONNX: 'model.onnx'}  # what a runtime is given
# Where what describes the weights lies, relative to the folder of the export.
DESCRIPTION_FOLDERS = {SAVED_MODEL: 'assets.extra', PB: '.', ONNX: '.'}
ATC_FILE = 'atc.txt'
_SERVING_DEFAULT = tf.saved_model.DEFAULT_SERVING_SIGNATURE_DEF_KEY
_OPSET = 13
_DIMENSIONS = ('batch', 'length')


def write_saved_model(folder, graph_def, signatures, default):
  """A SavedModel. signatures: {name: inference.Signature}. default: which of them is served as serving_default."""
  with tf.Graph().as_default() as graph, tf.Session(graph=graph) as session:
    tf.import_graph_def(graph_def, name='')

    def described(infos):
      return {name: tf.saved_model.build_tensor_info(graph.get_tensor_by_name(info.node + ':0'))
              for name, info in infos.items()}
    definitions = {name: tf.saved_model.build_signature_def(
        described(signature.inputs), described(signature.outputs), tf.saved_model.PREDICT_METHOD_NAME)
                   for name, signature in signatures.items()}
    definitions[_SERVING_DEFAULT] = definitions[default]
    builder = tf.saved_model.Builder(folder)
    builder.add_meta_graph_and_variables(session, [tf.saved_model.SERVING], definitions, clear_devices=True,
                                         strip_default_attrs=True)
    builder.save()


def write_pb(folder, graph_def):
  """A frozen graph."""
  with open(os.path.join(folder, MODEL_FILES[PB]), 'wb') as target:
    target.write(graph_def.SerializeToString())


def atc_command(folder, signature):
  """The command line that compiles folder/model.pb for an Ascend. signature: inference.Signature of known shapes."""
  shapes = ';'.join('{}:{}'.format(name, ','.join(map(str, info.shape))) for name, info in signature.inputs.items())
  return ('atc --framework=3 --model={} --output={} --input_format=ND --input_shape="{}" --out_nodes="{}" '
          '--soc_version=Ascend310 --op_select_implmode=high_precision'.format(
              shlex.quote(os.path.join(folder, MODEL_FILES[PB])), shlex.quote(os.path.join(folder, 'model')), shapes,
              ';'.join(info.node + ':0' for info in signature.outputs.values())))


def check_onnx_packages():
  """Raises UserError unless the packages of requirements-onnx.txt are there."""
  try:
    import onnx  # noqa: F401
    import onnxruntime  # noqa: F401
    import tf2onnx  # noqa: F401
  except ImportError as error:
    raise UserError('--format=onnx: expected the packages of requirements-onnx.txt, found: {}; '
                    '.venv/bin/python -m pip install -r requirements-onnx.txt'.format(error))


def write_onnx(folder, graph_def, signature, float16=False, quantize=False):
  """An ONNX model.

  Args:
    folder: str.
    graph_def: of constants in float32.
    signature: inference.Signature.
    float16: whether matrices are stored in half precision; the graph casts them.
    quantize: whether products and embeddings are int8, their scales found when they run (dynamic quantization).

  Raises:
    UserError: a weight that half precision cannot hold.
  """
  import onnx
  import tf2onnx
  inputs, outputs = [[info.node + ':0' for info in infos.values()] for infos in signature]
  names = dict(zip(inputs + outputs, list(signature.inputs) + list(signature.outputs)))
  model, _ = tf2onnx.convert.from_graph_def(graph_def, 'albert', inputs, outputs, opset=_OPSET,
                                            tensors_to_rename=names)
  for value in list(model.graph.input) + list(model.graph.output):
    for dimension, size in zip(_DIMENSIONS, value.type.tensor_type.shape.dim):
      if not size.dim_value:
        size.dim_param = 'predictions' if dimension == 'length' and value.name in (
            'masked_lm_positions', 'logits') else dimension
  _share_transposed(model)
  if float16:
    _store_in_half_precision(model)
  path = os.path.join(folder, MODEL_FILES[ONNX])
  onnx.save(model, path)
  if quantize:
    _quantize(path)


def _share_transposed(model):
  """Replaces matrices of an onnx.ModelProto that are others transposed: the tied table is there once."""
  import onnx
  matrices = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer
              if len(tensor.dims) == 2}
  shared = []
  for tensor in list(model.graph.initializer):
    value = matrices.get(tensor.name)
    origin = value is not None and next(
        (name for name, other in matrices.items() if name != tensor.name and np.array_equal(value, other.T)), None)
    if origin:
      shared.append(onnx.helper.make_node('Transpose', [origin], [tensor.name], perm=[1, 0]))
      model.graph.initializer.remove(tensor)
      del matrices[tensor.name]
  _put_first(model, shared)


def _put_first(model, nodes):
  """Adds nodes to an onnx.ModelProto, before those that read them."""
  nodes = nodes + list(model.graph.node)
  del model.graph.node[:]
  model.graph.node.extend(nodes)


def _store_in_half_precision(model):
  """Turns the float32 matrices among the initializers of an onnx.ModelProto into float16 with a Cast behind."""
  import onnx
  casts = []
  for tensor in model.graph.initializer:
    value = onnx.numpy_helper.to_array(tensor)
    if value.dtype == np.float32 and value.ndim > 1:
      name = tensor.name
      half = inference.in_half_precision(name, value)
      tensor.CopyFrom(onnx.numpy_helper.from_array(half, name + inference.SUFFIX_OF_HALF))
      casts.append(onnx.helper.make_node('Cast', [tensor.name], [name], to=onnx.TensorProto.FLOAT))
  _put_first(model, casts)


def _quantize(path):
  """Replaces an ONNX file by one with int8 weights."""
  from onnxruntime import quantization
  whole = path + '.float32'
  os.replace(path, whole)
  with contextlib.redirect_stdout(io.StringIO()):  # it prints the products that have no weights
    quantization.quantize_dynamic(whole, path, weight_type=quantization.QuantType.QInt8)
  os.remove(whole)
