"""Stand-in for npu_bridge.estimator.npu.npu_config: the signature of NPURunConfig names what a release knows."""

import inspect

import tensorflow as tf

from npu_stub import installed

# Of all releases. Dumps and profiling are classes of their own and are not named here.
_ALWAYS = ('iterations_per_loop', 'profiling_config', 'model_dir', 'tf_random_seed', 'save_summary_steps',
           'save_checkpoints_steps', 'save_checkpoints_secs', 'session_config', 'keep_checkpoint_max',
           'keep_checkpoint_every_n_hours', 'log_step_count_steps', 'distribute', 'enable_data_pre_proc',
           'precision_mode', 'enable_reduce_precision', 'variable_format_optimize', 'mix_compile_mode',
           'hcom_parallel', 'graph_memory_max_size', 'variable_memory_max_size', 'dump_config',
           'stream_max_parallel_num', 'is_tailing_optimization', 'horovod_mode', 'graph_run_mode', 'op_debug_level',
           'enable_scope_fusion_passes')


class NPURunConfig(tf.estimator.RunConfig):

  def __init__(self, **kwargs):
    raise NotImplementedError('nothing here makes one')


NPURunConfig.__init__.__signature__ = inspect.Signature(
    [inspect.Parameter('self', inspect.Parameter.POSITIONAL_OR_KEYWORD)]
    + [inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD, default=None)
       for name in _ALWAYS + installed.release().newer])
