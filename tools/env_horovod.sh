#!/usr/bin/env bash
# Builds Horovod in .venv, against its TensorFlow and with gloo, or says what it found:   make env-horovod
# Needs a C++ compiler and make; cmake comes from pip where there is none. Two CPU minutes. For all-reduces on GPUs, by
# NCCL:   HOROVOD_GPU_OPERATIONS=NCCL make env-horovod
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
python=$root/.venv/bin/python
requirements=$root/requirements-horovod.txt
log=$root/.venv/horovod.log

fail() {
  echo "error: $*" >&2
  exit 1
}

is_working() {
  "$python" -W ignore -c "import horovod, horovod.tensorflow, sys; sys.exit(horovod.__version__ != '$wanted')" \
    > /dev/null 2>&1
}

install() {
  "$python" -m pip install --disable-pip-version-check "$@" > "$log" 2>&1 || {
    tail -n 5 "$log" >&2
    fail "Horovod could not be built (the last words of pip are above, all of them in .venv/horovod.log); put that" \
      "right, then run make env-horovod again"
  }
}

bash "$root/tools/setup_env.sh" --quiet
wanted=$(sed -n 's/^horovod==//p' "$requirements")
if is_working; then
  echo "env-horovod: found Horovod $wanted"
  exit
fi
for program in c++ make; do
  command -v "$program" > /dev/null ||
    fail "expected a C++ compiler and make, which build Horovod, found no $program; install them (on Debian: apt install" \
      "g++ make), then run make env-horovod again"
done
echo "env-horovod: building Horovod $wanted in .venv; this takes some minutes"
install wheel==0.42.0
if ! command -v cmake > /dev/null; then
  install cmake==3.25.2
  export HOROVOD_CMAKE=$root/.venv/bin/cmake
fi
export HOROVOD_WITH_TENSORFLOW=1 HOROVOD_WITH_GLOO=1 HOROVOD_WITHOUT_MPI=1 HOROVOD_WITHOUT_PYTORCH=1 \
  HOROVOD_WITHOUT_MXNET=1
# Without isolation it sees the TensorFlow that it is built against. What pip kept of an earlier build may be for another
# TensorFlow, or without NCCL.
install --no-build-isolation --no-cache-dir --force-reinstall --no-deps -r "$requirements"
is_working || fail "expected that .venv imports horovod.tensorflow, found that it does not; see" \
  ".venv/bin/python -c 'import horovod.tensorflow'"
echo "env-horovod: built Horovod $wanted"
