"""pytorch_model.bin in both formats, written here by hand as torch writes it; and files that are not what they say."""

import collections
import io
import pickle
import resource
import struct
import zipfile

import numpy as np
import pytest

from albert.common.errors import UserError
from tools.conversion.hugging_face import torch_files

MAGIC = 0x1950a86a20f9469cfc6c
KINDS = {'<f4': 'FloatStorage', '<f2': 'HalfStorage', '<f8': 'DoubleStorage', '<i8': 'LongStorage',
         'bfloat16': 'BFloat16Storage'}


class _Global:
  """Pickled as the global MODULE.NAME, which need not exist here."""

  def __init__(self, module, name):
    self.path = (module, name)


class _Reduced:
  """Pickled as a call of a global."""

  def __init__(self, function, arguments):
    self.function, self.arguments = function, arguments


class _Pickler(pickle._Pickler):
  """Writes globals by name and storages as persistent ids, as torch does."""

  def persistent_id(self, value):
    return value if isinstance(value, tuple) and value[:1] == ('storage',) else None

  def save_any_global(self, value):
    self.write(pickle.GLOBAL + '{}\n{}\n'.format(*value.path).encode())

  def save_reduced(self, value):
    self.save(value.function)
    self.save(value.arguments)
    self.write(pickle.REDUCE)

  dispatch = dict(pickle._Pickler.dispatch)
  dispatch[_Global] = save_any_global
  dispatch[_Reduced] = save_reduced


def pickled(value):
  target = io.BytesIO()
  _Pickler(target, protocol=2).dump(value)
  return target.getvalue()


def storage(kind, key, count, older):
  return ('storage', _Global('torch', KINDS[kind]), key, 'cpu', count) + ((None,) if older else ())


def tensor(kind, key, count, shape, strides=None, offset=0, older=False):
  strides = strides or tuple(int(np.prod(shape[axis + 1:])) for axis in range(len(shape)))
  return _Reduced(_Global('torch._utils', '_rebuild_tensor_v2'), (
      storage(kind, key, count, older), offset, tuple(shape), strides, False, collections.OrderedDict()))


def write_zip(path, value, data, compression=zipfile.ZIP_STORED):
  with zipfile.ZipFile(str(path), 'w', compression) as archive:
    archive.writestr('archive/data.pkl', pickled(value))
    for key, content in data.items():
      archive.writestr('archive/data/' + key, content)
    archive.writestr('archive/version', '3\n')


def write_older(path, value, data, sizes):
  with open(str(path), 'wb') as target:
    for part in (MAGIC, 1001, {'protocol_version': 1001, 'little_endian': True, 'type_sizes': {'int': 4}}, value,
                 sorted(data)):
      target.write(pickled(part))
    for key in sorted(data):
      target.write(struct.pack('<q', sizes[key]) + data[key])


MATRIX = np.arange(12, dtype='<f4').reshape(3, 4)
HALF = np.array([0.5, -2.25, 1e-3], '<f2')
LONG = np.arange(5, dtype='<i8')
BRAIN = np.array([1.0, -3.140625], '<f4')  # both are numbers that bfloat16 has
DATA = {'0': MATRIX.tobytes(), '1': HALF.tobytes(), '2': LONG.tobytes(),
        '3': (BRAIN.view('<u4') >> 16).astype('<u2').tobytes()}


def state(older):
  return collections.OrderedDict([
      ('whole', tensor('<f4', '0', 12, [3, 4], older=older)),
      ('transposed', tensor('<f4', '0', 12, [4, 3], (1, 4), older=older)),
      ('row', tensor('<f4', '0', 12, [4], offset=8, older=older)),
      ('parameter', _Reduced(_Global('torch._utils', '_rebuild_parameter'), (
          tensor('<f4', '0', 12, [2, 2], (4, 1), 1, older), True, collections.OrderedDict()))),
      ('half', tensor('<f2', '1', 3, [3], older=older)), ('numbers', tensor('<i8', '2', 5, [1, 5], older=older)),
      ('brain', tensor('bfloat16', '3', 2, [2], older=older)), ('empty', tensor('<f4', '0', 12, [0, 4], older=older))])


@pytest.mark.parametrize('older', [False, True])
def test_both_formats(tmp_path, older):
  path = tmp_path / 'pytorch_model.bin'
  if older:
    write_older(path, state(True), DATA, {'0': 12, '1': 3, '2': 5, '3': 2})
  else:
    write_zip(path, state(False), DATA)
  tensors, widened = torch_files.read(str(path))
  expected = {'whole': MATRIX, 'transposed': MATRIX.T, 'row': MATRIX[2], 'parameter': MATRIX[:2, 1:3],
              'half': HALF.astype(np.float32), 'numbers': LONG[np.newaxis], 'brain': BRAIN,
              'empty': np.zeros([0, 4], np.float32)}
  assert sorted(tensors) == sorted(expected)
  for name, value in expected.items():
    np.testing.assert_array_equal(tensors[name], value)
    assert tensors[name].dtype == value.dtype
  assert widened == {'float16': 1, 'bfloat16': 1}


@pytest.mark.parametrize('older', [False, True])
@pytest.mark.parametrize('module, name', [
    ('os', 'system'), ('builtins', 'eval'), ('torch.nn', 'Linear'), ('torch', 'load'), ('torch._utils', '_import'),
    ('collections', 'namedtuple'), ('torch.storage', '_load_from_bytes')])
def test_a_pickle_that_wants_more_than_tensors_is_refused_unrun(tmp_path, older, module, name):
  marker = tmp_path / 'ran'
  value = {'x': _Reduced(_Global(module, name), ('touch {}'.format(marker),))}
  path = tmp_path / 'pytorch_model.bin'
  if older:
    write_older(path, value, {}, {})
  else:
    write_zip(path, value, {})
  with pytest.raises(UserError, match='asks for {}.{}; nothing of it was run'.format(module, name)):
    torch_files.read(str(path))
  assert not marker.exists()


@pytest.mark.parametrize('value', [
    {'x': tensor('<f4', '0', 12, [4, 4])}, {'x': tensor('<f4', '0', 12, [3, 4], offset=1)},
    {'x': tensor('<f4', '0', 12, [2], (12,))}, {'x': tensor('<f4', '0', 12, [2], (-1,), 5)},
    {'x': tensor('<f4', '0', 12, [-2], (1,))}, {'x': tensor('<f4', '0', 12, [2], (1, 1))}])
def test_a_tensor_never_reaches_beyond_its_storage(tmp_path, value):
  write_zip(tmp_path / 'x.bin', value, DATA)
  with pytest.raises(UserError, match='asks for a tensor'):
    torch_files.read(str(tmp_path / 'x.bin'))


@pytest.mark.parametrize('value', [{'epoch': 3}, {'model': {'x': tensor('<f4', '0', 12, [3, 4])}}, [1], 'text'])
def test_anything_but_a_dict_of_tensors_is_refused(tmp_path, value):
  write_zip(tmp_path / 'x.bin', value, DATA)
  with pytest.raises(UserError, match='something that is not a dict of tensors'):
    torch_files.read(str(tmp_path / 'x.bin'))


def test_damaged_files_are_one_line(tmp_path):
  whole = tmp_path / 'whole.bin'
  write_older(whole, state(True), DATA, {'0': 12, '1': 3, '2': 5, '3': 2})
  content = whole.read_bytes()
  cases = [b'', b'text', content[:30], content[:-4], content[:400] + b'\xff' * 30 + content[430:]]
  for number, bad in enumerate(cases):
    path = tmp_path / '{}.bin'.format(number)
    path.write_bytes(bad)
    with pytest.raises(UserError) as caught:
      torch_files.read(str(path))
    assert '\n' not in str(caught.value)
  write_zip(tmp_path / 'short.bin', state(False), dict(DATA, **{'0': DATA['0'][:40]}))
  write_zip(tmp_path / 'packed.bin', state(False), DATA, zipfile.ZIP_DEFLATED)
  for name in ('short.bin', 'packed.bin', 'absent.bin'):
    with pytest.raises(UserError, match='found a damaged one'):
      torch_files.read(str(tmp_path / name))


@pytest.mark.parametrize('put', [pickle.LONG_BINPUT, pickle.LONG_BINGET])
def test_the_number_of_a_value_takes_no_memory(tmp_path, put):
  """Of the billionth value of a pickle: a list of that many takes gigabytes."""
  begun = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
  path = tmp_path / 'x.bin'
  path.write_bytes(pickle.PROTO + b'\x02' + pickle.EMPTY_DICT + put + struct.pack('<I', 2 ** 27) + pickle.STOP)
  with pytest.raises(UserError, match='found a damaged one'):
    torch_files.read(str(path))
  assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < begun + 500000  # kilobytes


def test_random_damage_never_gives_a_traceback(tmp_path):
  path = tmp_path / 'x.bin'
  write_older(path, state(True), DATA, {'0': 12, '1': 3, '2': 5, '3': 2})
  content, random = bytearray(path.read_bytes()), np.random.RandomState(1)
  for _ in range(100):
    changed = bytearray(content)
    for place in random.randint(0, len(content), size=3):
      changed[place] = random.randint(256)
    path.write_bytes(bytes(changed))
    try:
      torch_files.read(str(path))
    except UserError:
      pass
