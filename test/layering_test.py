"""Who may import whom: a table of rooms. A folder or a program that is not in it needs a decision first."""

import ast
import collections
import functools
import glob
import os
import re
import subprocess
import sys

import pytest

from albert.common.files import ROOT

# A room is a folder; the rooms that it may import besides itself and albert.common, which everybody may.
ROOMS = {
    'albert.common': set(),
    'albert.dataset': set(),
    'albert.model': set(),
    'albert.device': set(),
    'albert.lamb': set(),
    'albert.input': {'albert.dataset'},
    'albert.labelled': {'albert.dataset'},
    'albert.tasks': {'albert.dataset', 'albert.input', 'albert.labelled', 'albert.model', 'albert.scoring'},
    'albert.run': {'albert.dataset', 'albert.model'},
    'albert.scoring': set(),
    'albert.training': {'albert.dataset', 'albert.device', 'albert.input', 'albert.labelled', 'albert.lamb',
                        'albert.model', 'albert.run'},
    'albert.prediction': {'albert.dataset', 'albert.model', 'albert.run'},
    'albert.answers': {'albert.labelled', 'albert.prediction', 'albert.run', 'albert.scoring', 'albert.tasks'},
    # What gin binds: names a task and hands it on.
    'roots': {'albert.answers', 'albert.device', 'albert.labelled', 'albert.lamb', 'albert.model', 'albert.run',
              'albert.tasks', 'albert.training'},
    'tools.text': {'albert.dataset'},
    'tools.workers': set(),
    'tools.preprocessing': {'albert.dataset', 'tools.text', 'tools.workers'},
    'tools.prediction': {'albert.answers', 'albert.dataset', 'tools.text'},
    'tools.reporting': {'albert.dataset', 'albert.labelled', 'albert.model', 'albert.run', 'tools.prediction',
                        'tools.preprocessing'},
    'tools.conversion': {'albert.dataset', 'albert.model', 'albert.run', 'albert.tasks'},
    'tools.benchmarks': {'albert.answers', 'albert.dataset', 'albert.device', 'albert.input', 'albert.labelled',
                         'albert.lamb', 'albert.model', 'albert.run', 'albert.scoring', 'albert.tasks',
                         'albert.training', 'tools.preprocessing', 'tools.text'},
    'tools.studies': {'albert.run'},
    # They may import every room; nobody imports them.
    'programs': None,
}
# Files at the root of albert/ and where they belong: the names that users know are the front rooms of folders.
FRONT_ROOMS = {
    'albert.modeling': 'albert.model', 'albert.input_pipeline': 'albert.input', 'albert.npu_session': 'albert.device',
    'albert.lamb': 'albert.lamb', 'albert.prediction': 'albert.prediction',
    'albert.pretraining': 'roots', 'albert.finetuning': 'roots', 'albert.repeating': 'roots',
}
# A program under a stopwatch is imported by it.
MEASURED = {'tools.benchmarks.stopwatch': 'tools.create_pretraining_data'}
# What the packages themselves import: the check of address space has to come before numpy.
FIRST = {'albert': 'albert.common.address_space', 'tools': 'albert'}
# Where TensorFlow never gets loaded, besides each module that says so in its docstring.
NEVER_TENSORFLOW = ('albert.common', 'albert.dataset', 'albert.labelled', 'albert.scoring', 'tools.text',
                    'tools.workers', 'tools.preprocessing')
_SAYS_SO = re.compile('[Nn]o TensorFlow')
# Options are bound here; everything below gets plain arguments.
GIN = {'albert.common.gin_settings', 'albert.common.gin_statements', 'albert.device.session_options',
       'albert.finetuning', 'albert.input_pipeline', 'albert.lamb', 'albert.model.config', 'albert.pretraining',
       'albert.training.trainer'}
_FLAG_LIBRARIES = ('absl.flags', 'argparse', 'optparse')
SEGMENTERS = {'jieba', 'rjieba'}
# What connects ranks, and what starts them.
HOROVOD = {'albert.device.horovod', 'tools.launch'}


class Module:
  """What one source file imports and is.

  Attributes:
    imports: set of dotted names, from anywhere in the file, functions included.
    top_imports: those executed when the module is imported.
    is_entry_point: whether it ends in `if __name__ == '__main__': cli.run(main)`, possibly after defining flags.
    decorates: whether it has a @gin.configurable.
    is_package: whether it is the __init__ of a folder; set by parse().
    without_tensorflow: whether its docstring says that it needs no TensorFlow.
  """

  def __init__(self, source, known=()):
    tree = _tree(source)
    self.imports = set(_imports(ast.walk(tree), known))
    self.top_imports = set(_imports(_without_functions(tree), known))
    self.is_entry_point = any(
        isinstance(node, ast.If) and '__main__' in _strings(node.test) and 'cli.run(main)' in _calls(node)
        for node in tree.body)
    self.decorates = any(
        'configurable' in _names(decorator) for node in ast.walk(tree)
        for decorator in getattr(node, 'decorator_list', []))
    self.without_tensorflow = bool(_SAYS_SO.search(ast.get_docstring(tree) or ''))


@functools.lru_cache(maxsize=None)
def _tree(source):
  return ast.parse(source)


def _without_functions(node):
  yield node
  for child in ast.iter_child_nodes(node):
    if not isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
      yield from _without_functions(child)


def _imports(nodes, known):
  for node in nodes:
    if isinstance(node, ast.Import):
      for alias in node.names:
        yield alias.name
    elif isinstance(node, ast.ImportFrom):
      assert not node.level, 'relative import'
      for alias in node.names:
        full = '{}.{}'.format(node.module, alias.name)
        # `from a.errors import UserError` names the module a.errors; `from absl import flags` absl.flags.
        yield full if full in known or node.module not in known else node.module
    elif isinstance(node, ast.Call) and _names(node.func) & {'import_module', '__import__'} and node.args:
      for name in _strings(node.args[0]):
        yield name


def _strings(node):
  return {child.s for child in ast.walk(node) if isinstance(child, ast.Str)}


def _names(node):
  return ({child.id for child in ast.walk(node) if isinstance(child, ast.Name)}
          | {child.attr for child in ast.walk(node) if isinstance(child, ast.Attribute)})


def _calls(node):
  return {'{}.{}({})'.format(call.func.value.id, call.func.attr, call.args[0].id)
          for call in ast.walk(node)
          if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute)
          and isinstance(call.func.value, ast.Name) and call.args and isinstance(call.args[0], ast.Name)}


def parse(sources):
  """{dotted name: source} -> {dotted name: Module}."""
  known = frozenset(name for name in sources if '.' in name)
  modules = {name: _module(source, known) for name, source in sources.items()}
  for name, module in modules.items():
    module.is_package = any(other.startswith(name + '.') for other in sources)
  return modules


@functools.lru_cache(maxsize=None)
def _module(source, known):
  return Module(source, known)


@functools.lru_cache(maxsize=None)
def read_sources(root=ROOT):
  """{dotted name: source} of albert/ and tools/, not to be changed."""
  sources = {}
  for package in ('albert', 'tools'):
    for path in glob.glob(os.path.join(root, package, '**', '*.py'), recursive=True):
      name = os.path.relpath(path, root)[:-len('.py')].replace(os.sep, '.')
      with open(path, encoding='utf-8') as source:
        sources[name[:-len('.__init__')] if name.endswith('.__init__') else name] = source.read()
  return sources


# Importable in every test, and nowhere else.
TEST_MODULES = {os.path.basename(path)[:-len('.py')]
                for path in glob.glob(os.path.join(ROOT, 'test', '**', '*.py'), recursive=True)} - {'__init__'}


def _top(name):
  return name.split('.')[0]


def room_of(name, module):
  """The key of ROOMS that a module belongs to, None if nobody has decided."""
  if name in FRONT_ROOMS:
    return FRONT_ROOMS[name]
  parts = name.split('.')
  if len(parts) == 2 and module.is_entry_point:
    return 'programs'
  folder = '.'.join(parts[:2])
  return folder if folder in ROOMS and (len(parts) > 2 or module.is_package) else None


def _of_repository(names):
  return {name for name in names if _top(name) in ('albert', 'tools', 'test') or _top(name) in TEST_MODULES}


def _allowed(room):
  return set(ROOMS) if ROOMS[room] is None else ROOMS[room] | {room, 'albert.common'}


def _room_faults(name, module, modules):
  """Lines, one for each import of a room that this one may not import."""
  room = room_of(name, module)
  if room is None:
    yield '{}: belongs to no room; say in layering_test.py which it is'.format(name)
    return
  for imported in sorted(_of_repository(module.imports)):
    if MEASURED.get(name) == imported:
      continue
    other = modules.get(imported) and room_of(imported, modules[imported])
    if other not in _allowed(room) or other == 'programs':
      yield '{} imports {}: {} may import {} only'.format(name, imported, room, ', '.join(sorted(_allowed(room))))
    elif imported in FRONT_ROOMS and other == room and name not in FRONT_ROOMS:
      yield '{} imports {}: the front room is built of it'.format(name, imported)


def _import_faults(name, module):
  for imported in sorted(module.imports):
    if _top(imported) in SEGMENTERS and not name.startswith('tools.'):
      yield '{} imports {}: only tools/ segments text'.format(name, imported)
    if _top(imported) == 'npu_bridge' and name != 'albert.npu_session':
      yield '{} imports {}: only albert.npu_session does'.format(name, imported)
    if _top(imported) == 'horovod' and name not in HOROVOD:
      yield '{} imports {}: only {} do'.format(name, imported, ' and '.join(sorted(HOROVOD)))
    if imported in _FLAG_LIBRARIES and name != 'albert.common.cli' and not module.is_entry_point:
      yield '{} imports {}: only programs, which end in cli.run(main), have flags'.format(name, imported)
    if imported.startswith('gin.tf.external_configurables'):
      yield '{} imports {}: it needs names that TensorFlow 1.15 lacks'.format(name, imported)
    if _top(imported) == 'gin' and name not in GIN:
      yield '{} imports {}: gin binds options elsewhere'.format(name, imported)
  for package in ('npu_bridge', 'horovod'):
    if any(_top(imported) == package for imported in module.top_imports):
      yield '{} imports {} outside a function: nothing would run without it'.format(name, package)
  if module.decorates and module.is_entry_point:
    yield '{} has a gin.configurable and runs as __main__: it would be registered twice'.format(name)


def faults(modules):
  """Lines, one for each import that breaks a rule."""
  lines = []
  for name, module in sorted(modules.items()):
    if name in ('albert', 'tools'):
      lines += ['{} imports {}: it may import {} only'.format(name, other, FIRST[name])
                for other in sorted(module.imports) if other != FIRST[name]]
      continue
    lines += _room_faults(name, module, modules)
    lines += _import_faults(name, module)
    if room_of(name, module) in NEVER_TENSORFLOW or module.without_tensorflow:
      for reached in sorted(_reached(name, modules)):
        if any(_top(imported) == 'tensorflow' for imported in modules[reached].imports):
          lines.append('{} reaches TensorFlow through {}'.format(name, reached))
  return lines


def _reached(name, modules):
  """The modules that importing `name` imports, itself and the packages around it included."""
  reached, waiting = set(), [name]
  while waiting:
    current = waiting.pop()
    if current in modules and current not in reached:
      reached.add(current)
      waiting += list(modules[current].imports) + [current.rpartition('.')[0]]
  return reached


def test_every_import_is_allowed():
  assert faults(parse(read_sources())) == []


def _circles(modules):
  """The modules that need themselves, through others or inside functions, sorted."""
  imports = {name: {other for other in module.imports if other in modules and not modules[other].is_package}
             for name, module in modules.items() if not module.is_package}

  def reached(name):
    seen, waiting = set(), list(imports[name])
    while waiting:
      current = waiting.pop()
      if current not in seen:
        seen.add(current)
        waiting += imports[current]
    return seen
  return sorted(name for name in imports if name in reached(name))


def test_no_modules_import_each_other():
  sources = read_sources()
  assert _circles(parse(sources)) == []
  lazy = 'def f():\n  from albert.run import run'
  assert 'albert.run.history' in _circles(parse(dict(
      sources, **{'albert.run.history': lazy, 'albert.run.best': 'from albert.run import history'})))


# The losses of pre-training are named where its records, batches and task are.
_OBJECTIVES = re.compile('masked_lm|sentence_order')
_OF_PRETRAINING = ('albert.dataset.', 'albert.input.formats.', 'albert.tasks.')


def _names_objectives(sources):
  return [name for name, source in sorted(sources.items())
          if name.startswith('albert.') and not name.startswith(_OF_PRETRAINING) and _OBJECTIVES.search(source)]


def test_a_run_names_no_objective_of_its_task():
  sources = read_sources()
  assert _names_objectives(sources) == []
  assert _names_objectives(dict(sources, **{'albert.run.best': "'masked_lm_loss'"})) == ['albert.run.best']


def test_the_table_names_only_what_exists():
  modules = parse(read_sources())
  rooms = {room_of(name, module) for name, module in modules.items() if name not in ('albert', 'tools')}
  assert rooms == set(ROOMS)
  assert not [name for name in list(FRONT_ROOMS) + list(MEASURED) + list(GIN) if name not in modules]


def test_the_table_allows_only_what_is_used():
  modules, used = parse(read_sources()), set()
  for name, module in modules.items():
    used |= {(room_of(name, module), room_of(other, modules[other])) for other in module.imports if other in modules}
  assert not [(room, other) for room, others in ROOMS.items() for other in others or () if (room, other) not in used]
  assert not [name for name in GIN if 'gin' not in map(_top, modules[name].imports)]


def test_no_folder_holds_more_than_a_reader_can_hold():
  for package in ('albert', 'tools', 'test'):
    for folder, folders, files in os.walk(os.path.join(ROOT, package)):
      folders[:] = [name for name in folders if name not in ('__pycache__', 'data', 'output')]
      sources = [name for name in files if name.endswith('.py') and name != '__init__.py']
      assert len(sources) <= 15, '{} holds {} files; which of them belong together?'.format(folder, len(sources))


@pytest.mark.parametrize('name, source', [
    ('albert.modeling', 'from albert.tasks import heads'),
    ('albert.modeling', 'import albert.tasks.heads'),
    ('albert.lamb', 'def f():\n  from albert.model.config import AlbertConfig'),
    ('albert.pretraining', 'from albert import run_pretraining'),
    ('albert.prediction', 'from albert.training import trainer'),
    ('tools.prediction.masked', 'from tools import fill_mask'),
    ('albert.training.trainer', 'from albert import pretraining'),
    ('albert.model.layers', 'from albert import modeling'),
    ('albert.input.formats.packed_rows', 'from albert import input_pipeline'),
    ('albert.device.hccl', 'import albert.npu_session'),
    ('albert.run.names', '"""Needs no TensorFlow."""\nimport tensorflow'),
    ('albert.device.memory', 'from albert.model import layers'),
    ('albert.run.results', 'import gin'),
    ('albert.tasks.task', 'import label_count'),
    ('albert', 'import tensorflow'),
    ('tools.text.corpus', 'from tools import create_pretraining_data'),
    ('tools.text.corpus', 'from tools.preprocessing import stages'),
    ('tools.benchmarks.worker', 'from tools import benchmark'),
    ('tools.parity', 'from tools import benchmark'),
    ('albert.run.saver', 'from albert.training import trainer'),
    ('albert.dataset.contract', 'from albert import input_pipeline'),
    ('albert.dataset.contract', 'from tools.text import corpus'),
    ('albert.dataset.contract', 'import test.support.synthetic_data'),
    ('albert.dataset.contract', 'import gin'),
    ('albert.dataset.contract', 'import tensorflow'),
    ('albert.novelty', ''),
    ('albert.novelties.first', ''),
    ('albert.dataset.tokenization', 'import jieba'),
    ('albert.dataset.tokenization', 'def f():\n  import rjieba'),
    ('albert.modeling', 'def f():\n  from npu_bridge.npu_init import npu_config_proto'),
    ('albert.modeling', 'def f():\n  importlib.import_module("npu_bridge.npu_init")'),
    ('albert.npu_session', 'import npu_bridge'),
    ('albert.npu_session', 'class C:\n  from npu_bridge.npu_init import NPUEstimator'),
    ('albert.npu_session', 'def f():\n  import horovod.tensorflow as hvd'),
    ('tools.launch', 'import horovod'),
    ('albert.modeling', 'from absl import flags'),
    ('tools.text.corpus', 'from absl import flags\nif __name__ == "__main__":\n  main()'),
    ('tools.text.corpus', 'import argparse'),
    ('albert.run_pretraining', 'import gin\n@gin.configurable\ndef f():\n  pass\n'
                               'if __name__ == "__main__":\n  cli.run(main)'),
    ('albert.pretraining', 'import gin.tf.external_configurables'),
    ('tools.text.corpus', 'import tensorflow as tf'),
    ('tools.text.corpus', 'def f():\n  import tensorflow.compat.v1 as tf'),
    ('tools.text.corpus', 'from albert import lamb'),
    ('tools.text.corpus', 'from tools import checkpoints'),
    ('tools.parity', 'from albert import run_pretraining'),
])
def test_a_forbidden_import_is_found(name, source):
  sources = read_sources()
  assert faults(parse(dict(sources, **{name: source})))


def test_tensorflow_is_found_behind_another_module():
  sources = dict(read_sources(), **{
      'albert.dataset.contract': 'import tensorflow', 'tools.text.corpus': 'from tools.text import shards',
      'tools.text.shards': 'from albert.dataset import contract'})
  assert 'tools.text.corpus reaches TensorFlow through albert.dataset.contract' in faults(parse(sources))


@pytest.mark.parametrize('name, source', [
    ('albert.npu_session', 'def f():\n  from npu_bridge.npu_init import NPUEstimator'),
    ('tools.text.segmentation', 'def f():\n  import jieba'),
    ('albert.device.horovod', 'def f():\n  importlib.import_module("horovod.tensorflow")'),
    ('tools.text.corpus', 'from absl import flags\nfrom albert.common import cli\n'
                          'if __name__ == "__main__":\n  cli.run(main)'),
])
def test_an_allowed_import_is_not_found(name, source):
  assert faults(parse(dict(read_sources(), **{name: source}))) == []


@pytest.mark.parametrize('name', ['tools.create_pretraining_data', 'tools.build_vocab', 'tools.inspect_records'])
def test_importing_a_data_program_does_not_load_tensorflow(name):
  program = 'import sys; import {}; print([m for m in ("tensorflow", "gin", "npu_bridge") if m in sys.modules])'
  output = subprocess.check_output([sys.executable, '-c', program.format(name)], cwd=ROOT)
  assert output.decode().split('\n')[-2] == '[]'


def test_shared_rooms_name_no_setting_of_pre_training():
  """Fine-tuning goes through them, too, and its user writes finetune.*: RunOptions.named() knows which it is."""
  said = []
  for name, source in read_sources().items():
    nodes = list(ast.walk(ast.parse(source)))
    docstrings = [ast.get_docstring(node, clean=False) for node in nodes
                  if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef))]
    said += [name for node in nodes if isinstance(node, ast.Str) and 'pretrain.' in node.s and node.s not in docstrings]
  # gin_statements has examples of bindings.
  assert {name for name in said if name.startswith('albert.')} <= {
      'albert.common.gin_statements', 'albert.pretraining', 'albert.run_pretraining'}
  assert 'albert.common.gin_statements' in said


def test_folders_do_not_shadow_packages():
  # gin/ would hide gin-config, test/ the standard library's test.
  assert glob.glob(os.path.join(ROOT, 'gin', '**', '*.py'), recursive=True) == []
  assert not os.path.exists(os.path.join(ROOT, 'test', '__init__.py'))


def test_no_two_test_files_have_one_name():
  """pytest would leave out the second one: it imports them by their names."""
  paths = glob.glob(os.path.join(ROOT, 'test', '**', '*_test.py'), recursive=True)
  counts = collections.Counter(map(os.path.basename, paths))
  assert counts and not [name for name, count in counts.items() if count > 1]
