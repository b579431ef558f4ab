"""Who may import whom. A module that is not in the tables below needs a decision first: that is the point."""

import ast
import functools
import glob
import os
import subprocess
import sys

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

# albert.<module>: the modules of albert it may import besides errors.
ALBERT = {
    'allocator': set(),
    'checkpoint_files': {'features', 'files'},
    'checkpoints': set(),
    'checks': set(),
    'cli': set(),
    'config': {'checks'},
    'cores': set(),
    'cpu_ops': {'layers'},
    'data_order': {'features'},
    'dynamic_masking': {'features', 'tokenization'},
    'errors': set(),
    'evaluation': {'objectives'},
    'event_files': {'files', 'records'},
    'features': set(),
    'files': set(),
    'gin_names': set(),
    'guard': {'files'},
    'input_pipeline': {'checks', 'data_order', 'dynamic_masking', 'features', 'packed_batches', 'packed_rows',
                       'records'},
    'input_wait': set(),
    'lamb': {'checks'},
    'layers': set(),
    'memory': {'cores'},
    'micro_batches': {'layers'},
    'modeling': {'config', 'layers', 'recomputation'},
    'npu_options': set(),
    'npu_session': {'npu_options'},
    'objectives': {'layers', 'modeling'},
    'packed_batches': {'packing'},
    'packed_rows': {'data_order', 'features', 'packing', 'records'},
    'packing': set(),
    'pretraining': {'allocator', 'event_files', 'input_pipeline', 'run_directory', 'run_lock', 'run_plan', 'stopping',
                    'trainer', 'training_hooks'},
    'recomputation': set(),
    'records': set(),
    'run_directory': {'checkpoint_files', 'config', 'features', 'files', 'run_state'},
    'run_lock': set(),
    'run_plan': {'checks', 'config', 'cores', 'features', 'input_pipeline', 'lamb', 'memory', 'npu_session', 'packing',
                 'run_directory', 'run_state', 'training_hooks'},
    'run_pretraining': {'allocator', 'cli', 'config', 'gin_names', 'pretraining'},
    'run_state': {'files'},
    'saver': {'checkpoint_files', 'event_files'},
    'stopping': set(),
    'tokenization': set(),
    'trainer': {'checkpoint_files', 'checkpoints', 'data_order', 'evaluation', 'event_files', 'features',
                'guard', 'input_pipeline', 'input_wait', 'micro_batches', 'objectives', 'packed_batches', 'packed_rows',
                'records', 'run_directory', 'saver', 'stopping', 'training_hooks', 'training_step'},
    'training_step': {'cpu_ops', 'evaluation', 'guard', 'lamb', 'layers', 'micro_batches', 'modeling', 'objectives'},
    'training_hooks': set(),
}
# Programs around the trained model. All other tools work on text and records and know nothing of TensorFlow.
MODEL_TOOLS = {
    'tools.benchmark': {'albert.cli', 'albert.errors', 'tools.bench_growth', 'tools.bench_packing',
                        'tools.bench_steps'},
    'tools.bench_growth': {'albert.memory', 'tools.bench_steps'},
    'tools.bench_packing': {'albert.config', 'albert.errors', 'albert.features', 'albert.input_pipeline',
                            'albert.packed_rows', 'albert.records', 'tools.bench_steps'},
    'tools.bench_steps': {'albert.allocator', 'albert.config', 'albert.errors'},
    'tools.benchmark_worker': {'albert.cli', 'albert.config', 'albert.cores', 'albert.errors', 'albert.input_pipeline',
                               'albert.lamb', 'albert.micro_batches', 'albert.modeling', 'albert.npu_options',
                               'albert.npu_session', 'albert.objectives', 'albert.packed_batches',
                               'albert.training_step'},
    'tools.bench_input': {'albert.allocator', 'albert.cli', 'albert.features', 'albert.input_pipeline'},
    'tools.checkpoint_text': set(),
    'tools.checkpoints': {'albert.cli', 'albert.errors', 'tools.checkpoint_text'},
    'tools.parity': {'albert.checkpoints', 'albert.cli', 'albert.config', 'albert.errors',
                     'albert.input_pipeline', 'albert.lamb', 'albert.micro_batches', 'albert.npu_options',
                     'albert.npu_session', 'albert.objectives', 'albert.training_step'},
}
DATA_TOOLS_MAY_IMPORT = {'albert.cli', 'albert.errors', 'albert.features', 'albert.packing', 'albert.tokenization'}
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
        # `from albert.errors import UserError` names the module albert.errors; `from absl import flags` absl.flags.
        yield node.module if node.module in known else full
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


def _is_data_tool(name):
  return name.startswith('tools.') and name not in MODEL_TOOLS


def _allowed(name):
  """The modules of this repository that module `name` may import."""
  package, _, module = name.partition('.')
  if package == 'albert':
    return {'albert.errors'} | {'albert.' + other for other in ALBERT.get(module, set())}
  return MODEL_TOOLS.get(name, DATA_TOOLS_MAY_IMPORT)


def _of_repository(names):
  return {name for name in names if _top(name) in ('albert', 'tools', 'test')}


def _import_faults(name, module):
  allowed = _allowed(name)
  for imported in sorted(_of_repository(module.imports)):
    if imported not in allowed and not (_is_data_tool(name) and _is_data_tool(imported)):
      yield '{} imports {}: not in the table of layering_test.py'.format(name, imported)
  for imported in sorted(module.imports):
    if _top(imported) in SEGMENTERS and not name.startswith('tools.'):
      yield '{} imports {}: only tools/ segments text'.format(name, imported)
    if _top(imported) == 'npu_bridge' and name != 'albert.npu_session':
      yield '{} imports {}: only albert.npu_session does'.format(name, imported)
    if imported in ('absl.flags', 'argparse', 'optparse') and name != 'albert.cli' and not module.is_entry_point:
      yield '{} imports {}: only programs, which end in cli.run(main), have flags'.format(name, imported)
    if imported.startswith('gin.tf.external_configurables'):
      yield '{} imports {}: it needs names that TensorFlow 1.15 lacks'.format(name, imported)
  if any(_top(imported) == 'npu_bridge' for imported in module.top_imports):
    yield '{} imports npu_bridge outside a function: nothing would run without it'.format(name)
  if module.decorates and module.is_entry_point:
    yield '{} has a gin.configurable and runs as __main__: it would be registered twice'.format(name)


def faults(modules):
  """Lines, one for each import that breaks a rule."""
  found = []
  for name, module in sorted(modules.items()):
    if _top(name) == 'albert' and name != 'albert' and name.partition('.')[2] not in ALBERT:
      found.append('{}: new in albert/; say in layering_test.py what it may import'.format(name))
    found += _import_faults(name, module)
    if _is_data_tool(name):
      for reached in sorted(_reached(name, modules)):
        if any(_top(imported) in ('tensorflow', 'gin') for imported in modules[reached].imports):
          found.append('{} reaches TensorFlow or gin through {}'.format(name, reached))
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


def test_the_table_names_only_modules_that_exist():
  modules = read_sources()
  assert not [name for name in ALBERT if 'albert.' + name not in modules]
  assert not [name for name in MODEL_TOOLS if name not in modules]


@pytest.mark.parametrize('name, source', [
    ('albert.modeling', 'from albert import objectives'),
    ('albert.modeling', 'import albert.objectives'),
    ('albert.lamb', 'def f():\n  from albert.modeling import AlbertConfig'),
    ('albert.pretraining', 'from albert import run_pretraining'),
    ('albert.features', 'from tools import corpus'),
    ('albert.features', 'import test.synthetic_data'),
    ('albert.novelty', ''),
    ('albert.tokenization', 'import jieba'),
    ('albert.tokenization', 'def f():\n  import rjieba'),
    ('albert.modeling', 'def f():\n  from npu_bridge.npu_init import npu_config_proto'),
    ('albert.modeling', 'def f():\n  importlib.import_module("npu_bridge.npu_init")'),
    ('albert.npu_session', 'import npu_bridge'),
    ('albert.npu_session', 'class C:\n  from npu_bridge.npu_init import NPUEstimator'),
    ('albert.modeling', 'from absl import flags'),
    ('tools.corpus', 'from absl import flags\nif __name__ == "__main__":\n  main()'),
    ('tools.corpus', 'import argparse'),
    ('albert.run_pretraining', 'import gin\n@gin.configurable\ndef f():\n  pass\n'
                               'if __name__ == "__main__":\n  cli.run(main)'),
    ('albert.pretraining', 'import gin.tf.external_configurables'),
    ('tools.corpus', 'import tensorflow as tf'),
    ('tools.corpus', 'def f():\n  import tensorflow.compat.v1 as tf'),
    ('tools.corpus', 'from albert import lamb'),
    ('tools.corpus', 'from tools import checkpoints'),
    ('tools.checkpoints', 'from albert import modeling'),
    ('tools.parity', 'from albert import run_pretraining'),
])
def test_a_forbidden_import_is_found(name, source):
  sources = read_sources()
  assert faults(parse(dict(sources, **{name: source})))


def test_tensorflow_is_found_behind_another_module():
  sources = dict(read_sources(), **{'albert.features': 'import tensorflow', 'tools.corpus': 'from tools import shards',
                                    'tools.shards': 'from albert import features'})
  assert 'tools.corpus reaches TensorFlow or gin through albert.features' in faults(parse(sources))


@pytest.mark.parametrize('name, source', [
    ('albert.npu_session', 'def f():\n  from npu_bridge.npu_init import NPUEstimator'),
    ('tools.segmentation', 'def f():\n  import jieba'),
    ('tools.corpus', 'from absl import flags\nfrom albert import cli\nif __name__ == "__main__":\n  cli.run(main)'),
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
