#!/usr/bin/env bash
# Full pre-training on one card, by the names of the original release:
#   bash test/train_full_1p.sh --data_path=data/records
# data_path: a folder with dataset.json, with data/dataset.json, or with the original's TFRecord file in data/.
# Any other --flag=value goes to albert.run_pretraining. Figures and logs: test/output/<ASCEND_DEVICE_ID or 0>/.

batch_size=32
train_steps=125000
learning_rate=1.375e-5
data_path=""

exec bash "$(dirname "${BASH_SOURCE[0]}")/train_on_cards.sh" acc gin/1p.gin \
  "$batch_size" "$train_steps" "$learning_rate" "$data_path" "$@"
