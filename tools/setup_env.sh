#!/usr/bin/env bash
# Makes .venv, the Python 3.7 environment of this checkout, or says what it found:   make env [PYTHON=python3.7] [CONDA=0]
#
# Which Python: PYTHON if given; else, where npu_bridge is installed (the Ascend image), that one; else the first that
# works of python3.7, pyenv's and conda's 3.7; else any Python that imports TensorFlow 1.15. Where there is none at all,
# conda, mamba or micromamba makes one in .venv itself, unless CONDA=0.
# A Python that already imports TensorFlow 1.15 keeps its TensorFlow, numpy, protobuf and npu_bridge: .venv sees its
# packages and gets only what is missing. With --quiet nothing is said when there is nothing to do.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
venv=$root/.venv
requirements=$root/requirements.txt
# Written last, so an interrupted installation has none. Lines: hash of requirements.txt, what Python it was made from:
# kind (see probe), executable, prefix, version (tab-separated), what `make env` reports, and every path that must still
# be there: packages, and their metadata with the version in its name.
stamp=$venv/complete
HOME=${HOME:-/}
python_to_make=3.7.17  # by pyenv
oldest_pip=20.3  # older ones do not know the manylinux2014 wheels; Python 3.7.5 brings 19.2

fail() {
  echo "error: $*" >&2
  exit 1
}

# That nobody reads it is no reason to stop.
trap '' PIPE
say() { echo "env: $*" 2> /dev/null || true; }

hash_of() { { sha256sum 2>/dev/null || shasum -a 256; } < "$1" | cut -d' ' -f1; }

stamp_line() { sed -n "$1p" "$stamp"; }

is_working() { [ -f "$stamp" ] && "$venv/bin/python" -S -c '' 2>/dev/null; }

# The first path of the environment that is there no more.
missing_path() {
  local path
  while IFS= read -r path; do
    if [ ! -e "$path" ]; then echo "$path" && return; fi
  done < <(sed -n '4,$p' "$stamp" 2>/dev/null)
}

is_complete() {
  is_working && [ "$(stamp_line 1)" = "$(hash_of "$requirements")" ] && [ -z "$(missing_path)" ]
}

# Whether PYTHON was not given, or is what .venv was made from.
is_wanted() {
  [ -z "${PYTHON:-}" ] && return
  local prefix
  prefix=$("$PYTHON" -c 'import sys; print(sys.prefix)' 2>/dev/null) || return
  [ "$prefix" = "$(stamp_line 2 | cut -f3)" ] || [ "$prefix" = "$venv" ]
}

# Paths that may be a Python 3.7, best first.
candidates() {
  local folder conda=${CONDA_EXE:-/nonexistent/bin/conda}
  command -v python3.7 || true
  for folder in "${PYENV_ROOT:-}" "$(pyenv root 2>/dev/null || true)" "$HOME/.pyenv" /opt/pyenv; do
    list_newest_first "$folder"/versions/3.7*/bin/python "$folder"/versions/*/bin/python3.7
  done
  list_newest_first "${CONDA_PREFIX:-}"/bin/python3.7 "${conda%/bin/conda}"/{bin,envs/*/bin}/python3.7
  if [ -f "$HOME/.conda/environments.txt" ]; then
    while read -r folder; do list_newest_first "$folder/bin/python3.7"; done < "$HOME/.conda/environments.txt"
  fi
  list_newest_first "$HOME"/*{conda,mamba,forge}*/{bin,envs/*/bin}/python3.7 /opt/*conda*/{bin,envs/*/bin}/python3.7
  command -v python3 || true
  command -v python || true
  list_newest_first /usr/local/python3*/bin/python3 /usr/local/bin/python3.7 /usr/bin/python3.7
  # The activated .venv of this checkout is no candidate, but what it was made from is.
  sed -n 's|^home = \(.*\)|\1/python3.7|p' "$venv/pyvenv.cfg" 2>/dev/null || true
}

list_newest_first() {
  local path
  for path in "$@"; do
    if [ -x "$path" ]; then echo "$path"; fi
  done | sort -rV
}

# probe PYTHON -> "what<tab>executable<tab>prefix<tab>version", what: npu, tf or plain. Otherwise one line says why not.
probe() {
  "$1" -W ignore - "$venv" 2>&1 << 'PROBE' | awk '/^(npu|tf|plain)\t/ {found = $0} !said {said = $0} END {print found ? found : said}'
import os
import sys

if sys.prefix == sys.argv[1]:
  sys.exit('is the .venv that is to be made')
version = '.'.join(str(part) for part in sys.version_info[:3])
if sys.version_info < (3, 7):
  sys.exit('is Python ' + version)
import importlib.util
what = 'plain'
if importlib.util.find_spec('tensorflow'):
  os.environ['TF_CPP_MIN_LOG_LEVEL'] = '3'
  try:
    import tensorflow
    if tensorflow.__version__.startswith('1.15'):
      what = 'npu' if importlib.util.find_spec('npu_bridge') else 'tf'
  except Exception:
    pass
if what == 'plain' and sys.version_info[:2] != (3, 7):
  sys.exit('is Python ' + version)
for module in ['ssl', 'zlib', 'venv'] + (['ensurepip'] if what == 'plain' else []):
  if not importlib.util.find_spec(module):
    sys.exit('is Python {} without {} (on Debian: apt install python3.7-venv)'.format(version, module))
sys.stdout.write('\n{}\t{}\t{}\t{}\n'.format(what, sys.executable, sys.prefix, version))
PROBE
}

# Sets chosen to the best of what probe printed, and incomplete to the Python 3.7s that lack something.
choose_python() {
  local list path found first_npu='' first_37='' first_tf='' rejected=''
  incomplete=''
  list=${PYTHON:-$(candidates | awk '!seen[$0]++')}
  while read -r path; do
    if [ -z "$path" ]; then continue; fi
    found=$(probe "$path" || true)
    found=${found:-it does not start}
    case $found in
      npu*) first_npu=${first_npu:-$found} ;;
      *$'\t3.7.'*) first_37=${first_37:-$found} ;;
      tf*) first_tf=${first_tf:-$found} ;;
      *)
        rejected+="; $path: ${found##*: line [0-9]*: "$path": }"
        case $found in *'is Python 3.7.'*) incomplete+="; $path: $found" ;; esac
        ;;
    esac
  done <<< "$list"
  found=${first_npu:-${first_37:-$first_tf}}
  if [ -z "$found" ] && [ -n "${PYTHON:-}" ]; then
    fail "PYTHON=$PYTHON: expected a working Python 3.7, found \"${rejected#; "$PYTHON": }\"; give the path of one"
  elif [ -z "$found" ] && conda=$(find_conda); then
    found=$'conda\t'$venv/bin/python$'\t'$venv$'\t'3.7
  elif [ -z "$found" ] && command -v pyenv > /dev/null; then
    fail "expected a working Python 3.7, found none${rejected:+ (${rejected#; })}; pyenv builds one in some minutes:" \
      "pyenv install $python_to_make && make env"
  elif [ -z "$found" ]; then
    fail "expected a working Python 3.7, found none${rejected:+ (${rejected#; })}; install conda, mamba or micromamba" \
      "(make env then makes one in .venv), or pyenv and \"pyenv install $python_to_make\", or use the Dockerfile, or" \
      "name one: make env PYTHON=/path/to/python3.7"
  fi
  chosen=$found
}

# The program that can make a Python 3.7 of its own, unless CONDA=0 forbids it.
find_conda() {
  local program
  [ "${CONDA:-}" != 0 ] || return 1
  for program in micromamba mamba conda "${MAMBA_EXE:-}" "${CONDA_EXE:-}"; do
    if [ -n "$program" ] && command -v "$program"; then return; fi
  done
  return 1
}

# Makes .venv itself a Python 3.7.
make_with_conda() {
  # One channel, the same for the three programs.
  "$conda" create -y -q -p "$venv" --override-channels -c conda-forge python=3.7 pip > "$venv.log" 2>&1 || {
    tail -n 5 "$venv.log" >&2
    fail "$conda could not make a Python 3.7 in .venv (its own last words are above, all of them in .venv.log); put" \
      "that right, or name a Python 3.7: make env PYTHON=/path/to/python3.7"
  }
  rm "$venv.log"
  version=$("$venv/bin/python" -c 'import sys; print(".".join(map(str, sys.version_info[:3])))')
  chosen=$'conda\t'$python$'\t'$prefix$'\t'$version
}

# A venv that sees the packages of $python.
make_over_image() {
  "$python" -m venv --system-site-packages "$venv" ||
    "$python" -m venv --system-site-packages --without-pip --clear "$venv"
  if ! "$venv/bin/python" -W ignore -c 'import tensorflow' 2>/dev/null; then
    # $python is a venv itself: a venv sees the packages of the Python below it, not those of another venv.
    local own
    own=$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_paths()["purelib"])')
    "$python" -c 'import site; print("\n".join(site.getsitepackages()))' > "$own/image.pth"
  fi
}

# Installs what is missing of requirements.txt, and nothing over the image's TensorFlow.
install_missing() {
  "$venv/bin/python" -W ignore - "$requirements" "$venv/missing.txt" "$venv/kept.txt" << 'MISSING'
import sys
import pkg_resources

kept_names = ['tensorflow', 'tensorflow-estimator', 'tensorboard', 'numpy', 'protobuf', 'gast', 'h5py', 'werkzeug',
              'setuptools']
never = ['tensorflow', 'numpy', 'protobuf']  # importing TensorFlow worked, whatever its package is called
present = {package.key: package for package in pkg_resources.working_set}
missing = []
for requirement in pkg_resources.parse_requirements(open(sys.argv[1])):
  package = present.get(requirement.key)
  satisfied = package and (requirement.key in kept_names or package in requirement)
  if not satisfied and requirement.key not in never and (not requirement.marker or requirement.marker.evaluate()):
    missing.append(str(requirement))
kept = ['{}=={}'.format(name, present[name].version) for name in kept_names if name in present]
open(sys.argv[2], 'w').write('\n'.join(missing) + '\n')
open(sys.argv[3], 'w').write('\n'.join(kept) + '\n')
print('  kept: ' + ' '.join(kept))
print('  missing: ' + (' '.join(missing) or 'nothing'))
MISSING
  if grep -q . "$venv/missing.txt"; then install -r "$venv/missing.txt" -c "$venv/kept.txt"; fi
}

update_pip() {
  local version
  version=$("$venv/bin/python" -m pip --version | cut -d' ' -f2)
  if [ "$(printf '%s\n' "$oldest_pip" "$version" | sort -V | head -n 1)" != "$oldest_pip" ]; then
    install 'pip==22.3.1'
  fi
}

install() {
  "$venv/bin/python" -m pip install -qq --disable-pip-version-check "$@" ||
    fail "pip could not install what requirements.txt asks for (its own words are above); put that right, then" \
      "run make env again"
}

# Paths that are gone when a package was removed or replaced by another version: of what requirements.txt names.
promised_paths() {
  "$venv/bin/python" -W ignore - "$requirements" << 'PROMISED'
import importlib.util
import os
import sys
import pkg_resources

paths = [importlib.util.find_spec('tensorflow').origin]
for requirement in pkg_resources.parse_requirements(open(sys.argv[1])):
  package = pkg_resources.working_set.by_key.get(requirement.key)
  if package and package.egg_info:
    paths.append(package.egg_info)
    names = package.get_metadata_lines('top_level.txt') if package.has_metadata('top_level.txt') else []
    specs = [importlib.util.find_spec(name) for name in names if name.isidentifier()]
    paths += [spec.origin for spec in specs if spec and spec.origin]
print('\n'.join(path for path in paths if os.path.exists(path)))
PROMISED
}

# Where a path really is: .venv may be a link in a checkout that is removed one day.
real_paths() {
  local path
  while IFS= read -r path; do readlink -f "$path"; done
}

report() { say "found .venv: $(stamp_line 3)"; }

if is_complete && is_wanted; then
  [ "${1:-}" = --quiet ] || report
  exit
fi
if command -v flock > /dev/null; then  # two makes at once: the second waits for the first
  exec 9< "$requirements"
  flock 9
  if is_complete && is_wanted; then report; exit; fi
fi

gone=$(missing_path)
again=()
if is_working && is_wanted; then
  chosen=$(stamp_line 2)
  if [ -n "$gone" ]; then
    say "${gone#"$venv/"} is gone: installing the packages of .venv again"
    again=(--force-reinstall --no-deps)  # pip believes its metadata, which may be all that is left of a package
  else
    say "requirements.txt has changed: updating .venv"
  fi
  rm "$stamp"
  made=updated
else
  choose_python
  if [ -e "$venv" ]; then say ".venv is not complete, or made from another Python: making it anew"; fi
  made=made
fi
IFS=$'\t' read -r kind python prefix version <<< "$chosen"
if [ "$made" = made ]; then
  if [ "$kind" = conda ]; then
    say "found no${incomplete:+ complete} Python 3.7${incomplete:+ (${incomplete#; })}: $conda makes one in .venv (300 MB;" \
      "CONDA=0 forbids it); that and the packages take minutes"
  else
    say "making .venv with Python $version of $prefix; the packages take a few minutes"
  fi
  rm -rf "$venv"
  case $kind in
    plain) "$python" -m venv "$venv" ;;
    conda) make_with_conda ;;
    *) make_over_image ;;
  esac
  update_pip
fi
case $kind in
  plain | conda) install ${again[@]+"${again[@]}"} -r "$requirements" ;;
  *) install_missing ;;
esac
tensorflow=$("$venv/bin/python" -W ignore -c 'import tensorflow; print(tensorflow.__version__)' 2>/dev/null) ||
  fail "expected that .venv imports TensorFlow 1.15, found that it does not; see .venv/bin/python -c 'import tensorflow'"
{
  hash_of "$requirements"
  echo "$chosen"
  echo "Python $version of $prefix, TensorFlow $tensorflow$(case $kind in npu | tf) echo ' (its own)' ;; esac)"
  promised_paths | real_paths
} > "$stamp.tmp"
mv "$stamp.tmp" "$stamp"
say "$made .venv: $(stamp_line 3)"
