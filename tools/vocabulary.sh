#!/usr/bin/env bash
# Builds a vocabulary unless the file is there; says which of the two:
#   tools/vocabulary.sh CORPUS VOCAB [flags of tools/create_pretraining_data.py]
# What the text is and how it is cleaned concerns the vocabulary too: such flags go to both tools, and where a flag names
# another text or vocabulary, it is that one. A mistake in any of the flags ends it before anything is built.
set -euo pipefail

# That nobody reads it is no reason to stop.
trap '' PIPE
say() { echo "vocab: $*" 2> /dev/null || true; }

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
corpus=$1
vocab=$2
shift 2

given=("$@")
common=()
while [ $# -gt 0 ]; do
  flag=${1#-}
  flag=${flag#-}
  name=${flag%%=*}
  case $name in
    flagfile)
      echo "error: expected the flags themselves, which the vocabulary needs too, found $1; write out what is in it" >&2
      exit 1
      ;;
    encoding | errors | documents | text_field | normalization | min_characters | min_han_share | duplicates | \
      near_duplicate_threshold | input_file | input_files | vocab_file)
      word=$1
      if [ "$flag" = "$name" ]; then
        word="$1=${2-}"
        shift
      fi
      case $name in
        input_file*) corpus=${word#*=} ;;
        vocab_file) vocab=${word#*=} ;;
        *) common+=("$word") ;;
      esac
      ;;
    do_lower_case | nodo_lower_case | split_sentences | nosplit_sentences) common+=("$1") ;;
    drop_control_characters | nodrop_control_characters) common+=("$1") ;;
  esac
  if [ $# -gt 0 ]; then shift; fi
done

if [ -s "$vocab" ]; then
  if [ ! -f "$vocab" ]; then
    echo "error: $vocab: expected a vocabulary or nothing, found no plain file; name another (VOCAB=...)" >&2
    exit 1
  fi
  say "found $vocab, $(wc -l < "$vocab") entries; remove it to build another"
  exit
fi

# bash before 4.4 takes an empty array for an unset variable.
if [ ${#given[@]} -gt 0 ]; then
  bash "$here/run.sh" tools.create_pretraining_data ${given[@]+"${given[@]}"} --check_flags
fi
say "building $vocab from $corpus"
exec bash "$here/run.sh" tools.build_vocab --input_files="$corpus" --output_file="$vocab" ${common[@]+"${common[@]}"}
