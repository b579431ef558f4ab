#!/usr/bin/env bash
# Tests --engine=spark on local[2]; what it needs beside Java is installed in .venv first:   make test-spark
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
requirements=$root/requirements-spark.txt
java=${JAVA_HOME:+$JAVA_HOME/bin/}java

fail() {
  echo "error: $*" >&2
  exit 1
}

found=$("$java" -version 2>&1) ||
  fail "expected Java 17 (8 and 11 work too) for Spark, found that \"$java\" does not start; install it (on Debian:" \
    "apt install openjdk-17-jre-headless), or set JAVA_HOME to the folder of one"
bash "$root/tools/setup_env.sh" --quiet
wanted=$(sed -n 's/^pyspark==//p' "$requirements")
if ! "$root/.venv/bin/python" -c "import pyspark, sys; sys.exit(pyspark.__version__ != '$wanted')" 2> /dev/null; then
  echo "test-spark: installing PySpark $wanted in .venv (300 MB)"
  "$root/.venv/bin/python" -m pip install -qq --disable-pip-version-check -r "$requirements" ||
    fail "pip could not install requirements-spark.txt (its own words are above); put that right, then run it again"
fi
echo "test-spark: PySpark $wanted, ${found%%$'\n'*}"
cd "$root"
exec bash tools/run.sh pytest test/tools/workers/spark_test.py "$@"
