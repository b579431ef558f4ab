#!/usr/bin/env bash
# Full pre-training on the eight cards of one server, a process each, by the names of the original release:
#   RANK_TABLE_FILE=rank_table.json bash test/train_full_8p.sh --data_path=data/records
# RANKS=2 uses two; the rank table then has two devices. How one is written: README.md, "On Ascend 910".
# data_path: a folder with dataset.json, with data/dataset.json, or with the original's TFRecord file in data/.
# Any other --flag=value goes to albert.run_pretraining. Figures: test/output/0/; logs: test/output/<rank>/.

batch_size=32  # of each card
train_steps=15625
learning_rate=1.1e-4
data_path=""

RANKS=${RANKS:-8} exec bash "$(dirname "${BASH_SOURCE[0]}")/train_on_cards.sh" acc gin/8p.gin \
  "$batch_size" "$train_steps" "$learning_rate" "$data_path" "$@"
