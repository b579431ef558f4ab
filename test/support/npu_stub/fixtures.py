"""pytest fixtures: pytest_plugins = ['npu_stub.fixtures'] in a test module."""

import json

import pytest

from npu_stub import installed


@pytest.fixture(params=list(installed.RELEASES))
def release(request):
  """The test runs once with npu_bridge of each release."""
  with installed.npu_bridge(request.param):
    yield request.param


@pytest.fixture(params=[installed.OLDEST, installed.NEWEST])
def oldest_or_newest(request):
  """The test runs once with npu_bridge of the oldest release and once with the newest."""
  with installed.npu_bridge(request.param):
    yield request.param


@pytest.fixture
def rank_environment(tmp_path):
  """environment(rank): of one of two ranks, with a rank table."""
  table = tmp_path / 'rank_table.json'
  devices = [{'device_id': r, 'device_ip': '192.0.2.' + r, 'rank_id': r} for r in '01']
  table.write_text(json.dumps({'status': 'completed', 'version': '1.0', 'server_count': '1', 'server_list': [
      {'server_id': '192.0.2.100', 'device': devices}]}))
  return lambda rank: {'RANK_SIZE': '2', 'RANK_ID': str(rank), 'JOB_ID': '1', 'RANK_TABLE_FILE': str(table),
                       'ASCEND_DEVICE_ID': str(rank)}
