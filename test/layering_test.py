"""Who may import whom: a table of rooms. A folder or a program that is not in it needs a decision first."""

import ast
import functools
import glob
import os
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
    'albert.tasks': {'albert.dataset', 'albert.model'},
    'albert.run': {'albert.dataset', 'albert.model'},
    'albert.training': {'albert.dataset', 'albert.device', 'albert.input', 'albert.lamb', 'albert.model', 'albert.run',
                        'albert.tasks'},
    'data tools': {'albert.dataset'},
    'model tools': {'albert.dataset', 'albert.device', 'albert.input', 'albert.lamb', 'albert.model', 'albert.run',
                    'albert.tasks', 'albert.training'},
    # What gin binds, and below it the programs, which nobody imports.
    'roots': {'albert.dataset', 'albert.device', 'albert.input', 'albert.run', 'albert.tasks', 'albert.training'},
    'programs': {'albert.device', 'albert.model', 'roots'},
}
# Files at the root of albert/ and where they belong: the names that users know are the front rooms of folders.
FRONT_ROOMS = {
    'albert.modeling': 'albert.model', 'albert.input_pipeline': 'albert.input', 'albert.npu_session': 'albert.device',
    'albert.lamb': 'albert.lamb', 'albert.pretraining': 'roots', 'albert.run_pretraining': 'programs',
}
# Tools that know TensorFlow; all others work on text and records, and never load it.
MODEL_TOOLS = ('tools.benchmark', 'tools.benchmarks.growth', 'tools.benchmarks.input', 'tools.benchmarks.packing',
               'tools.benchmarks.step_times', 'tools.benchmarks.worker', 'tools.check_learning', 'tools.checkpoints',
               'tools.conversion', 'tools.parity')
NEVER_TENSORFLOW = ('albert.common', 'albert.dataset', 'data tools')
_FLAG_LIBRARIES = ('absl.flags', 'argparse', 'optparse')
SEGMENTERS = {'jieba', 'rjieba'}


class Module:
  """What one source file imports and is.

  Attributes:
    imports: set of dotted names, from anywhere in the file, functions included.
    top_imports: those executed when the module is imported.
    is_entry_point: whether it ends in `if __name__ == '__main__': cli.run(main)`, possibly after defining flags.
    decorates: whether it has a @gin.configurable.
  """

  def __init__(self, source, known=()):
    tree = ast.parse(source)
    self.imports = set(_imports(ast.walk(tree), known))
    self.top_imports = set(_imports(_without_functions(tree), known))
    self.is_entry_point = any(
        isinstance(node, ast.If) and '__main__' in _strings(node.test) and 'cli.run(main)' in _calls(node)
        for node in tree.body)
    self.decorates = any(
        'configurable' in _names(decorator) for node in ast.walk(tree)
        for decorator in getattr(node, 'decorator_list', []))


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
  return {name: _module(source, known) for name, source in sources.items()}


@functools.lru_cache(maxsize=None)
def _module(source, known):
  return Module(source, known)


def read_sources(root=ROOT):
  """{dotted name: source} of albert/ and tools/."""
  sources = {}
  for package in ('albert', 'tools'):
    for path in glob.glob(os.path.join(root, package, '**', '*.py'), recursive=True):
      name = os.path.relpath(path, root)[:-len('.py')].replace(os.sep, '.')
      with open(path, encoding='utf-8') as source:
        sources[name[:-len('.__init__')] if name.endswith('.__init__') else name] = source.read()
  return sources


def _top(name):
  return name.split('.')[0]


def room_of(name):
  """The key of ROOMS that a module belongs to, None if nobody has decided."""
  if name.startswith('tools.'):
    return 'model tools' if (name + '.').startswith(tuple(tool + '.' for tool in MODEL_TOOLS)) else 'data tools'
  if name in FRONT_ROOMS:
    return FRONT_ROOMS[name]
  folder = '.'.join(name.split('.')[:2])
  return folder if folder in ROOMS else None


def _of_repository(names):
  return {name for name in names if _top(name) in ('albert', 'tools', 'test')}


def _room_faults(name, module, known):
  room = room_of(name)
  if room is None:
    yield '{}: belongs to no room; say in layering_test.py which it is'.format(name)
    return
  allowed = ROOMS[room] | {room, 'albert.common'}
  for imported in sorted(_of_repository(module.imports)):
    if imported not in known or room_of(imported) not in allowed or room_of(imported) == 'programs':
      yield '{} imports {}: {} may import {} only'.format(name, imported, room, ', '.join(sorted(allowed)))


def _import_faults(name, module):
  for imported in sorted(module.imports):
    if _top(imported) in SEGMENTERS and not name.startswith('tools.'):
      yield '{} imports {}: only tools/ segments text'.format(name, imported)
    if _top(imported) == 'npu_bridge' and name != 'albert.npu_session':
      yield '{} imports {}: only albert.npu_session does'.format(name, imported)
    if imported in _FLAG_LIBRARIES and name != 'albert.common.cli' and not module.is_entry_point:
      yield '{} imports {}: only programs, which end in cli.run(main), have flags'.format(name, imported)
    if imported.startswith('gin.tf.external_configurables'):
      yield '{} imports {}: it needs names that TensorFlow 1.15 lacks'.format(name, imported)
    if _top(imported) == 'gin' and name.startswith('albert.dataset'):
      yield '{} imports {}: a data set knows no settings'.format(name, imported)
  if any(_top(imported) == 'npu_bridge' for imported in module.top_imports):
    yield '{} imports npu_bridge outside a function: nothing would run without it'.format(name)
  if module.decorates and module.is_entry_point:
    yield '{} has a gin.configurable and runs as __main__: it would be registered twice'.format(name)


def faults(modules):
  """Lines, one for each import that breaks a rule."""
  found = []
  for name, module in sorted(modules.items()):
    if name not in ('albert', 'tools'):
      found += _room_faults(name, module, modules)
    found += _import_faults(name, module)
    if room_of(name) in NEVER_TENSORFLOW:
      for reached in sorted(_reached(name, modules)):
        if any(_top(imported) == 'tensorflow' for imported in modules[reached].imports):
          found.append('{} reaches TensorFlow through {}'.format(name, reached))
  return found


def _reached(name, modules):
  """The modules that importing `name` imports, itself included."""
  reached, waiting = set(), [name]
  while waiting:
    current = waiting.pop()
    if current in modules and current not in reached:
      reached.add(current)
      waiting += modules[current].imports
  return reached


def test_every_import_is_allowed():
  assert faults(parse(read_sources())) == []


def test_the_table_names_only_what_exists():
  modules = read_sources()
  rooms = {room_of(name) for name in modules if name not in ('albert', 'tools')}
  assert rooms == set(ROOMS)
  assert not [name for name in list(FRONT_ROOMS) + list(MODEL_TOOLS) if name not in modules]


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
    ('albert.training.trainer', 'from albert import pretraining'),
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


def test_folders_do_not_shadow_packages():
  # gin/ would hide gin-config, test/ the standard library's test.
  assert glob.glob(os.path.join(ROOT, 'gin', '**', '*.py'), recursive=True) == []
  assert not os.path.exists(os.path.join(ROOT, 'test', '__init__.py'))
