#!/usr/bin/env bash
# Runs a module of this repository in its environment, which is made if need be, from any directory:
#   tools/run.sh albert.run_pretraining --input_file=data/records
# Sets what every program needs in its environment. Settings of the memory allocator are not among it: the programs that
# gain by them start themselves again with them, however they were started (albert/device/allocator.py).
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
bash "$root/tools/setup_env.sh" --quiet
export PYTHONPATH="$root${PYTHONPATH:+:$PYTHONPATH}"
exec "$root/.venv/bin/python" -W ignore::FutureWarning -m "$@"
