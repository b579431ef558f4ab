#!/usr/bin/env bash
# What train_full_1p.sh and train_performance_1p.sh share:
#   train_1p.sh acc|perf GIN_FILE BATCH_SIZE TRAIN_STEPS LEARNING_RATE DATA_PATH [--flag=value ...]
# Trains, then writes the original release's log files from the run's own results.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
network=Albert_ID0632_for_TensorFlow
kind=$1 experiment=$root/$2 batch_size=$3 train_steps=$4 learning_rate=$5 data_path=$6
shift 6

fail() {
  echo "error: $*" >&2
  exit 1
}

passed_on=()
run_dir=''
for argument in "$@"; do
  value=${argument#*=}
  case $argument in
    --data_path=*) data_path=$value ;;
    --batch_size=* | --train_batch_size=*) batch_size=$value ;;
    --train_steps=* | --num_train_steps=*) train_steps=$value ;;
    --learning_rate=*) learning_rate=$value ;;
    --output_dir=*) run_dir=$value ;;
    --gin_file=*) experiment=$value ;;
    --*) passed_on+=("$argument") ;;
    *) fail "expected --flag=value, found \"$argument\"; write the value behind \"=\"" ;;
  esac
done
if [ "$kind" = perf ]; then passed_on+=('--gin_param=pretrain.performance=True'); fi

# Sets input to the data set or TFRecord file that lies in data_path.
find_input() {
  local original=data/tf_news_2016_zh_raw_news2016zh_1.tfrecord
  if [ -z "$data_path" ]; then
    fail "expected --data_path=FOLDER with a data set, found none; make one with \"make data\" (it goes to data/records)"
  elif [ -f "$data_path" ] || [ -f "$data_path/dataset.json" ]; then
    input=$data_path
  elif [ -f "$data_path/data/dataset.json" ]; then
    input=$data_path/data
  elif [ -f "$data_path/$original" ]; then
    input=$data_path/$original
  else
    fail "--data_path=$data_path: expected dataset.json, data/dataset.json or $original there, found none of them;" \
      "make a data set with \"make data\""
  fi
}

find_input
device_id=${ASCEND_DEVICE_ID:-0}
output=$root/test/output/$device_id
case_name=${network}_bs${batch_size}_1p_$kind
run_dir=${run_dir:-$output/$case_name}  # a folder for each case: full and performance runs never meet
mkdir -p "$output"
losses=$output/train_${case_name}_loss.txt
rm -f "$losses" "$output/$case_name.log"  # of an earlier run: should this one fail, they would pass for its own

started=$(date +%s)
bash "$root/tools/run.sh" albert.run_pretraining --input_file="$input" --output_dir="$run_dir" \
  --gin_file="$experiment" --train_batch_size="$batch_size" --num_train_steps="$train_steps" \
  --learning_rate="$learning_rate" ${passed_on[@]+"${passed_on[@]}"} 2>&1 | tee "$output/train_$device_id.log" ||
  exit 1  # its last line says why
seconds=$(($(date +%s) - started))

tail -n +2 "$run_dir/loss_history.tsv" | cut -f2 > "$losses"

# Prints: examples per second, seconds per step, held-out masked-LM accuracy.
figures() {
  "$root/.venv/bin/python" - "$run_dir/results.json" "$batch_size" << 'FIGURES'
import json
import sys

with open(sys.argv[1]) as source:
  results = json.load(source)
rate = results['examples_per_second']
accuracy = results.get('heldout', {}).get('masked_lm_accuracy')
print('{:.4f}'.format(rate), '{:.6f}'.format(int(sys.argv[2]) / rate),
      'none' if accuracy is None else '{:.6f}'.format(accuracy))
FIGURES
}
line=$(figures)
read -r examples_per_second step_seconds accuracy <<< "$line"
cat > "$output/$case_name.log" << LOG
Network = $network
RankSize = ${RANK_SIZE:-1}
BatchSize = $batch_size
DeviceType = $(uname -m)
CaseName = $case_name
ActualFPS = $examples_per_second
TrainingTime = $step_seconds
ActualLoss = $(tail -n 1 "$losses")
E2ETrainingTime = $seconds
TrainAccuracy = $accuracy
LOG
echo "Final Training Duration sec : $seconds"
echo "Final Performance images/sec : $examples_per_second"
echo "Final Train Accuracy : $accuracy"
