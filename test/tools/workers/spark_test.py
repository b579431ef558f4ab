"""Spark: the same bytes from Spark. Skipped where PySpark or Java is absent: `make test-spark` gets it."""

import os
import shutil
import subprocess
import sys
import types
from unittest import mock
import zipfile

import pytest

from albert.common.errors import UserError
from albert.common.files import ROOT
from tools.preprocessing import data_set
from tools.workers import local
from tools.workers import spark

import small_corpus


def test_without_pyspark_one_line_says_what_to_do(monkeypatch):
  monkeypatch.setitem(sys.modules, 'pyspark', None)
  with pytest.raises(UserError, match='requirements-spark.txt') as error:
    spark.Spark('local[2]')
  assert '\n' not in str(error.value)


def test_without_java_make_test_spark_says_what_to_do():
  script = os.path.join(ROOT, 'tools', 'test_spark.sh')
  done = subprocess.run(['bash', script], env=dict(os.environ, JAVA_HOME='/nonexistent'), stdout=subprocess.PIPE,
                         stderr=subprocess.PIPE, universal_newlines=True)
  assert done.returncode == 1 and not done.stdout
  assert done.stderr.startswith('error: expected Java 17') and done.stderr.count('\n') == 1


def test_the_workers_are_sent_all_modules_of_all_folders(tmp_path, monkeypatch):
  context = mock.Mock()
  stub = types.ModuleType('pyspark')
  stub.SparkConf, stub.SparkContext = mock.Mock(), mock.Mock()
  stub.SparkContext.getOrCreate.return_value = context
  monkeypatch.setitem(sys.modules, 'pyspark', stub)
  monkeypatch.setenv('PYSPARK_PYTHON', sys.executable)  # restored: Spark sets it where it is not
  engine = spark.Spark('local[2]')
  (path,), _ = context.addPyFile.call_args
  with zipfile.ZipFile(path) as archive:
    assert {'albert/__init__.py', 'albert/dataset/contract.py', 'tools/__init__.py', 'tools/text/__init__.py',
            'tools/text/corpus.py', 'tools/workers/local.py'} <= set(archive.namelist())
  # A worker has nothing else.
  program = 'from tools.preprocessing import stages; from tools.workers import kept_results; print(stages.__file__)'
  imported = subprocess.check_output([sys.executable, '-W', 'ignore', '-c', program], cwd=str(tmp_path),
                                     env=dict(os.environ, PYTHONPATH=path), universal_newlines=True)
  assert imported.strip() == os.path.join(path, 'tools', 'preprocessing', 'stages.py')
  engine.close()
  assert not os.path.exists(path)


@pytest.fixture(scope='module')
def engine():
  pytest.importorskip('pyspark', reason='PySpark is not installed: make test-spark')
  if not (shutil.which('java') or os.environ.get('JAVA_HOME')):
    pytest.skip('Java is not installed')
  here = os.path.dirname(os.path.abspath(__file__))  # what the workers are sent is named after this module
  os.environ['PYTHONPATH'] = os.pathsep.join([ROOT, here, os.path.join(ROOT, 'test', 'support')])
  made = spark.Spark('local[2]')
  yield made
  made.close()


def fail(number):
  if number == 1:
    raise UserError('expected no 1')
  if number == 2:
    raise ValueError('two')
  return number


@pytest.mark.integration
def test_spark_writes_the_same_bytes(tmp_path, engine, monkeypatch):
  monkeypatch.setattr(data_set.corpus, '_MIN_UNIT_BYTES', 700)
  text_file, vocab_file = small_corpus.write(tmp_path)
  settings = small_corpus.settings(vocab_file, records_per_shard=20)
  for name, where in (('d', local.Local(1)), ('e', engine)):
    assert data_set.create(settings, [text_file], str(tmp_path / name), engine=where).created
  contents = small_corpus.contents(tmp_path / 'd')
  assert contents == small_corpus.contents(tmp_path / 'e') and len(contents) > 6


@pytest.mark.integration
def test_failures_on_spark(engine):
  assert dict(engine.run(fail, [(0,), (5,)])) == {0: 0, 1: 5}
  with pytest.raises(UserError, match='^expected no 1$'):
    list(engine.run(fail, [(0,), (1,)]))
  with pytest.raises(local.WorkerLost, match='ValueError: two.*continues'):
    list(engine.run(fail, [(0,), (2,)]))
