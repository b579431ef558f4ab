#!/usr/bin/env bash
# How fast is a training step on one card? By the names of the original release:
#   bash test/train_performance_1p.sh --data_path=data/records
# data_path: a folder with dataset.json, with data/dataset.json, or with the original's TFRecord file in data/.
# Any other --flag=value goes to albert.run_pretraining. Figures and logs: test/output/<ASCEND_DEVICE_ID or 0>/.
# The first two steps are warm-up and not counted.

batch_size=32
train_steps=10
learning_rate=1.375e-5
data_path=""

exec bash "$(dirname "${BASH_SOURCE[0]}")/train_on_cards.sh" perf gin/perf_1p.gin \
  "$batch_size" "$train_steps" "$learning_rate" "$data_path" "$@"
