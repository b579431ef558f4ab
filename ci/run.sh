#!/usr/bin/env bash
# The whole of continuous integration. Needs make, bash and a Python 3.7; the rest is installed in .venv/.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
make check
make test
make smoke
# Last: from then on .venv/ holds PySpark, which is optional.
if command -v java > /dev/null; then
  make test-spark
fi
