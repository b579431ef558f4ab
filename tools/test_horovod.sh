#!/usr/bin/env bash
# Tests training on two ranks of this machine through Horovod, which is built in .venv first:   make test-horovod
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
bash "$root/tools/env_horovod.sh"
cd "$root"
exec bash tools/run.sh pytest test/doors/ranks_test.py "$@"
