#!/usr/bin/env bash
# The whole of continuous integration. Needs make, bash and a Python 3.7; the rest is installed in .venv/.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
make check
make test
make smoke
# Optional, so built and tested last.
if make env-horovod; then
  make test-horovod
else
  echo 'ci: skipped make test-horovod: Horovod cannot be built here, for the reason above'
fi
# The same for PySpark.
if command -v java > /dev/null; then
  make test-spark
else
  echo 'ci: skipped make test-spark: no Java here'
fi
