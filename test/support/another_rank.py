"""albert.run_pretraining, whose rank 1 is started with another learning rate than the others."""

import os
import runpy
import sys

if __name__ == '__main__':
  if os.environ.get('HOROVOD_RANK') == '1':
    sys.argv.append('--learning_rate=0.5')
  runpy.run_module('albert.run_pretraining', run_name='__main__', alter_sys=True)
