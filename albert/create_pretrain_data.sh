#!/usr/bin/env bash
# Makes the records for pre-training, as in the original release, from any directory:
#   albert/create_pretrain_data.sh [--max_seq_length=128 and other flags of tools/create_pretraining_data.py]
# Reads albert/data/news_zh_1.txt and albert/albert_config/vocab.txt where they exist, else CORPUS and VOCAB, whose
# defaults are those of make: data/news_zh_1.txt or the bundled sample, and data/vocab.txt, built if it is absent.
# Writes the data set into DATA [albert/data], and all its training records as one file under the original name.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(dirname "$here")

# The first file that exists; the last one if none does.
first_existing() {
  for file; do
    if [ -e "$file" ]; then break; fi
  done
  echo "$file"
}

corpus=$here/data/news_zh_1.txt
if [ ! -e "$corpus" ]; then
  corpus=${CORPUS:-$(first_existing "$root/data/news_zh_1.txt" "$root/data/sample_zh.txt")}
fi
vocab=$here/albert_config/vocab.txt
if [ ! -e "$vocab" ]; then
  vocab=${VOCAB:-$root/data/vocab.txt}
fi
echo "corpus      $corpus"
bash "$root/tools/vocabulary.sh" "$corpus" "$vocab" "$@"

output=(--output_file="${DATA:-$here/data}/tf_news_2016_zh_raw_news2016zh_1.tfrecord")
for argument; do
  case $argument in
    --output_dir*|--output_file*|-output_dir*|-output_file*) output=() ;;
  esac
done
# bash before 4.4 takes an empty array for an unset variable.
exec bash "$root/tools/run.sh" tools.create_pretraining_data --input_files="$corpus" --vocab_file="$vocab" \
  ${output[@]+"${output[@]}"} "$@"
