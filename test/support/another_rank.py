"""albert.run_pretraining, whose rank 1 is started with other flags than the others: those of FLAGS_OF_RANK_1."""

import os
import runpy
import sys

if __name__ == '__main__':
  if os.environ.get('HOROVOD_RANK') == '1':
    sys.argv += os.environ['FLAGS_OF_RANK_1'].split()
  runpy.run_module('albert.run_pretraining', run_name='__main__', alter_sys=True)
