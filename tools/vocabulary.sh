#!/usr/bin/env bash
# Builds a vocabulary unless the file is there; says which of the two:
#   tools/vocabulary.sh CORPUS VOCAB [flags of tools/create_pretraining_data.py]
# What the text is and how it is cleaned concerns the vocabulary too: such flags go to both tools. A mistake in any of
# the flags ends it before anything is built.
set -euo pipefail

# That nobody reads it is no reason to stop.
trap '' PIPE
say() { echo "vocab: $*" 2> /dev/null || true; }

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
corpus=$1
vocab=$2
shift 2

if [ -s "$vocab" ]; then
  say "found $vocab, $(wc -l < "$vocab") entries; remove it to build another"
  exit
fi

if [ $# -gt 0 ]; then
  bash "$here/run.sh" tools.create_pretraining_data "$@" --check_flags
fi
common=()
while [ $# -gt 0 ]; do
  flag=${1#-}
  flag=${flag#-}
  case ${flag%%=*} in
    encoding | errors | documents | text_field | normalization | min_characters | min_han_share)
      if [ "$flag" = "${flag%%=*}" ]; then
        common+=("$1=${2-}")
        shift
      else
        common+=("$1")
      fi
      ;;
    do_lower_case | nodo_lower_case | split_sentences | nosplit_sentences) common+=("$1") ;;
    drop_control_characters | nodrop_control_characters) common+=("$1") ;;
  esac
  shift
done
say "building $vocab from $corpus"
# bash before 4.4 takes an empty array for an unset variable.
exec bash "$here/run.sh" tools.build_vocab --input_files="$corpus" --output_file="$vocab" ${common[@]+"${common[@]}"}
