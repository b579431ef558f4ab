"""pytorch_model.bin without torch: both of its formats, by an unpickler that admits tensors and nothing else.

A pickle is a program. This one may name an OrderedDict, torch's rebuilders of tensors and its kinds of storage; any
other name is refused before it is looked up, so that nothing of it runs.
Zip format (torch 1.6 and later): NAME/data.pkl, and NAME/data/KEY for each storage. The older one is a row of pickles
(magic number, protocol, system, object, keys of the storages), then for each key its number of elements, int64, and its
bytes.
"""

import collections
import io
import os
import pickle
import struct
import zipfile

import numpy as np

from albert.common.errors import UserError
from tools.conversion.hugging_face import widening

_MAGIC = 0x1950a86a20f9469cfc6c
_STORAGES = {
    'DoubleStorage': 'F64', 'FloatStorage': 'F32', 'HalfStorage': 'F16', 'BFloat16Storage': 'BF16',
    'LongStorage': 'I64', 'IntStorage': 'I32', 'ShortStorage': 'I16', 'CharStorage': 'I8', 'ByteStorage': 'U8',
    'BoolStorage': 'BOOL'}
_REBUILDERS = ('_rebuild_tensor', '_rebuild_tensor_v2', '_rebuild_parameter')

# kind: type in the names of widening.py. key: str. count: elements.
_Storage = collections.namedtuple('_Storage', ['kind', 'key', 'count'])
# A tensor is a view of a storage; offset and strides count elements.
_View = collections.namedtuple('_View', ['storage', 'offset', 'shape', 'strides'])


class _Refused(Exception):
  """The file wants something that is no tensor, or contradicts itself."""


def _rebuild(storage, offset, shape, strides, *_):
  """torch._utils._rebuild_tensor and _rebuild_tensor_v2, whose further arguments concern gradients."""
  numbers = (offset,) + tuple(shape) + tuple(strides)
  if (not isinstance(storage, _Storage) or len(shape) != len(strides)
      or not all(isinstance(number, int) and number >= 0 for number in numbers)):
    raise _Refused('a tensor of another form')
  last = offset + sum((size - 1) * stride for size, stride in zip(shape, strides))
  if 0 not in shape and last >= storage.count:
    raise _Refused('a tensor that reaches beyond its storage')
  return _View(storage, offset, tuple(shape), tuple(strides))


def _same(view, *_):
  """torch._utils._rebuild_parameter."""
  return view


class _Unpickler(pickle._Unpickler):
  """Loads tensors, as _View, in dicts.

  By the pickle of Python: that of C makes room for as many values as the number of one says, gigabytes where a damaged
  byte is in it.
  """

  def find_class(self, module, name):
    if (module, name) == ('collections', 'OrderedDict'):
      return collections.OrderedDict
    if module == 'torch' and name in _STORAGES:
      return _STORAGES[name]
    if module == 'torch._utils' and name in _REBUILDERS:
      return _same if name == '_rebuild_parameter' else _rebuild
    raise _Refused('{}.{}'.format(module, name))

  def persistent_load(self, pid):
    # ('storage', kind, key, place, count) and in the older format (offset, size) of a view of another storage.
    if not (isinstance(pid, tuple) and len(pid) in (5, 6) and pid[0] == 'storage' and pid[1] in _STORAGES.values()
            and isinstance(pid[4], int) and pid[4] >= 0) or (len(pid) == 6 and pid[5] is not None):
      raise _Refused('a storage of another form')
    return _Storage(pid[1], str(pid[2]), pid[4])


def read(path):
  """As safetensors_files.read, for a file that torch.save has written.

  Raises:
    UserError: it cannot be read, or its pickle wants more than tensors.
  """
  try:
    views, load = _zip_file(path) if zipfile.is_zipfile(path) else _older_file(path)
    return _arrays(path, views, load)
  except _Refused as error:
    raise UserError('{}: expected a pickle of tensors, found one that asks for {}; nothing of it was run, use a file '
                    'of weights alone'.format(path, error))
  except UserError:
    raise
  except Exception as error:  # damaged bytes make a pickle raise anything
    raise UserError('{}: expected a file of torch.save, found a damaged one ({}); download it again'.format(
        path, ' '.join(str(error).split()) or type(error).__name__))


def _arrays(path, views, load):
  """views: what the pickle holds; load: function of a _Storage that gives its bytes."""
  if not isinstance(views, dict) or not all(isinstance(view, _View) for view in views.values()):
    raise _Refused('something that is not a dict of tensors')
  tensors, widened = {}, widening.Counts()
  for name, view in views.items():
    data = load(view.storage)
    array = widened.array(data, view.storage.kind, [-1], '{}: {}'.format(path, name))
    if len(array) != view.storage.count:
      raise ValueError('{}: {} elements instead of {}'.format(name, len(array), view.storage.count))
    strides = [stride * array.itemsize for stride in view.strides]
    # Within the storage: _rebuild has checked it.
    tensors[name] = np.lib.stride_tricks.as_strided(array[view.offset:], view.shape, strides).copy()
  return tensors, dict(widened)


def _zip_file(path):
  archive = zipfile.ZipFile(path)
  if any(entry.compress_type != zipfile.ZIP_STORED for entry in archive.infolist()):
    raise ValueError('compressed entries, which torch never writes')
  pickles = [name for name in archive.namelist() if name.endswith('/data.pkl')]
  if len(pickles) != 1:
    raise ValueError('{} files data.pkl in it'.format(len(pickles)))
  folder = pickles[0][:-len('data.pkl')]
  byteorder = folder + 'byteorder'
  if byteorder in archive.namelist() and archive.read(byteorder) != b'little':
    raise ValueError('bytes in big-endian order')
  views = _Unpickler(io.BytesIO(archive.read(pickles[0]))).load()
  return views, lambda storage: archive.read('{}data/{}'.format(folder, storage.key))


def _older_file(path):
  with open(path, 'rb') as source:
    if _Unpickler(source).load() != _MAGIC:
      raise ValueError('no magic number of torch')
    protocol, system = _Unpickler(source).load(), _Unpickler(source).load()
    if protocol != 1001 or not system.get('little_endian', True):
      raise ValueError('protocol {}, {}'.format(protocol, system))
    views = _Unpickler(source).load()
    keys = [str(key) for key in _Unpickler(source).load()]
    kinds = {view.storage.key: view.storage for view in views.values() if isinstance(view, _View)} if isinstance(
        views, dict) else {}
    places = {}
    for key in keys:
      count, = struct.unpack('<q', source.read(8))
      if key not in kinds or count != kinds[key].count:
        raise ValueError('storage {} does not fit its tensors'.format(key))
      places[key] = (source.tell(), count * widening.item_size(kinds[key].kind))
      source.seek(places[key][1], os.SEEK_CUR)
  return views, lambda storage: _bytes_at(path, *places[storage.key])


def _bytes_at(path, place, count):
  with open(path, 'rb') as source:
    source.seek(place)
    return source.read(count)
