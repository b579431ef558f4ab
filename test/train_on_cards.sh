#!/usr/bin/env bash
# What train_full_1p.sh, train_full_8p.sh and train_performance_1p.sh share:
#   train_on_cards.sh acc|perf GIN_FILE BATCH_SIZE_OF_A_CARD TRAIN_STEPS LEARNING_RATE DATA_PATH [--flag=value ...]
# Trains on one card or, with RANKS above 1, on so many of this server, a process each. Then writes the original
# release's log files from the run's own results.
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
ranks=${RANKS:-1}
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

# Trains on one card with the given words; says what it says and keeps it in a log.
train_alone() {
  bash "$root/tools/run.sh" albert.run_pretraining "$@" 2>&1 | tee "$output/train_$device_id.log"
}

# As train_alone on several cards, with the log of rank N in test/output/N/train_N.log. Returns the first exit code that
# is not 0. SIGTERM goes on to every rank: they save, stop after the same step and return 75.
train_on_ranks() {
  local pids=() rank shown ending='' interrupted status code=0
  bash "$root/tools/setup_env.sh" --quiet  # before all of them look at it at once
  for ((rank = 0; rank < ranks; rank++)); do
    mkdir -p "$root/test/output/$rank"
    : > "$root/test/output/$rank/train_$rank.log"  # before it is shown below: no line of an earlier run
    RANK_ID=$rank ASCEND_DEVICE_ID=$rank bash "$root/tools/run.sh" albert.run_pretraining "$@" \
      > "$root/test/output/$rank/train_$rank.log" 2>&1 &
    pids+=($!)
  done
  tail -n +1 -s 0.2 -f --pid="${pids[0]}" "$output/train_0.log" &  # what rank 0 says is shown
  shown=$!
  disown
  trap 'interrupted=1; kill -TERM "${pids[@]}" 2> /dev/null || true' TERM
  trap 'interrupted=1' INT  # from the terminal it has come to every rank
  while true; do
    interrupted='' status=0
    wait -n || status=$?
    if [ -n "$interrupted" ]; then continue; fi
    if [ "$status" = 127 ] && [ -z "$(jobs -rp)" ]; then break; fi  # none is left
    if [ "$status" != 0 ] && [ "$code" = 0 ]; then
      code=$status
      # A rank that is gone leaves the others in a collective. After a signal they stop by themselves.
      if [ "$code" != 75 ]; then
        echo "a rank ended with $code, the others are ended; its log is in $root/test/output/<rank>/" >&2
        (sleep 5; kill -TERM "${pids[@]}"; sleep 15; kill -TERM "${pids[@]}") > /dev/null 2>&1 &
        ending=$!
        disown
      fi
    fi
  done
  trap - TERM INT
  if [ -n "$ending" ]; then kill "$ending" 2> /dev/null || true; fi
  while kill -0 "$shown" 2> /dev/null; do sleep 0.1; done
  return "$code"
}

# Sets what HCCL reads from the environment, where it is not set.
prepare_ranks() {
  case $ranks in *[!0-9]* | 0*) fail "RANKS=$ranks: expected the number of cards; RANKS=8, say" ;; esac
  if [ ! -f "${RANK_TABLE_FILE:-}" ]; then
    fail "RANK_TABLE_FILE=${RANK_TABLE_FILE:-}: expected the path of a rank table with $ranks devices, found no file;" \
      "write one as in README.md, \"On Ascend 910\""
  fi
  RANK_TABLE_FILE=$(realpath "$RANK_TABLE_FILE")
  export RANK_TABLE_FILE RANK_SIZE=$ranks JOB_ID=${JOB_ID:-10087}
  # Rank 0 compiles and saves step 0 while the others wait for their links: HCCL's own 120 s may be too few.
  export HCCL_CONNECT_TIMEOUT=${HCCL_CONNECT_TIMEOUT:-600} ASCEND_GLOBAL_LOG_LEVEL=${ASCEND_GLOBAL_LOG_LEVEL:-3}
}

find_input
device_id=${ASCEND_DEVICE_ID:-0} train=train_alone
if [ "$ranks" != 1 ]; then
  prepare_ranks
  device_id=0 train=train_on_ranks
fi
output=$root/test/output/$device_id
case_name=${network}_bs${batch_size}_${ranks}p_$kind
run_dir=${run_dir:-$output/$case_name}  # a folder for each case: full and performance runs never meet
mkdir -p "$output"
losses=$output/train_${case_name}_loss.txt
rm -f "$losses" "$output/$case_name.log"  # of an earlier run: should this one fail, they would pass for its own

started=$(date +%s)
"$train" --input_file="$input" --output_dir="$run_dir" --gin_file="$experiment" \
  --train_batch_size="$((batch_size * ranks))" \
  --num_train_steps="$train_steps" --learning_rate="$learning_rate" ${passed_on[@]+"${passed_on[@]}"} ||
  exit $?  # its last line says why
seconds=$(($(date +%s) - started))

tail -n +2 "$run_dir/loss_history.tsv" | cut -f2 > "$losses"

# Prints: examples per second, seconds per step, held-out masked-LM accuracy.
figures() {
  "$root/.venv/bin/python" - "$run_dir/results.json" "$((batch_size * ranks))" << 'FIGURES'
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
