"""Stand-in for npu_bridge.hccl.hccl_ops."""

from npu_stub import emulator
from npu_stub import installed


def allreduce(tensor, reduction, fusion=1, fusion_id=-1, group='hccl_world_group'):
  return emulator.all_reduce(tensor, reduction, fusion)


def allgather(tensor, rank_size, group='hccl_world_group'):
  return emulator.all_gather(tensor, rank_size)


_FUSION = installed.release().broadcast_fusion

if _FUSION is None:
  def broadcast(tensor, root_rank, group='hccl_world_group'):
    return emulator.broadcast(tensor, root_rank, fusion=0)
else:
  def broadcast(tensor, root_rank, fusion=_FUSION, fusion_id=0, group='hccl_world_group'):
    return emulator.broadcast(tensor, root_rank, fusion)
