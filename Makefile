# The front door. `make help` explains it; README.md shows it at work.
# Needs make, bash and a Python 3.7 to start from; everything else is installed in .venv/.

SHELL := bash
.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help env vocab data bench-data bench-input bench bench-packing bench-memory bench-growth train-full train-perf \
  eval export tb to-hf from-hf smoke check test test-unit test-spark test-faults clean

# Works as `make`, `make -C folder` and `make -f folder/Makefile`: defaults lie in the folder of this file, given
# paths are relative to where make runs.
makefile := $(lastword $(MAKEFILE_LIST))
root := $(if $(filter Makefile,$(makefile)),$(CURDIR),$(patsubst %/,%,$(dir $(abspath $(makefile)))))
here := $(if $(filter Makefile,$(makefile)),,$(root)/)

# Variables. A `##` comment is what `make help` prints.
sample := $(here)data/sample_zh.txt
news := $(wildcard $(here)data/news_zh_1.txt)

CORPUS ?= $(or $(news),$(sample))## text: files, globs, folders or .gz, separated by commas [data/news_zh_1.txt, else the sample]
VOCAB ?= $(here)data/vocab.txt## vocabulary; built from CORPUS if the file is absent [data/vocab.txt]
DATA ?= $(here)data/records## folder of the records [data/records]
DATA_ARGS ?=## more flags for the data tool, such as "--max_seq_length=128 --dupe_factor=5"
FORCE ?=## FORCE=1: data: make the records again even if they are there
OUT ?= $(here)out## folder of the run [out; train-perf: out/perf]
GIN ?= $(here)gin/1p.gin## experiment [gin/1p.gin; train-perf: gin/perf_1p.gin]
SET ?=## hyperparameters, such as "pretrain.num_train_steps=100; SessionOptions.device='cpu'"
INIT ?=## train-full: weights to start from: a run, its best/, a prefix or a release that was unpacked
ARGS ?=## more flags for training, evaluation, export and conversion, such as "--format=onnx --task=masked_lm"
CKPT ?=## eval, export, to-hf: checkpoint to take [the best of OUT]
EXPORT ?= $(OUT)/export## export: new folder of the export [OUT/export]
HF ?= $(here)out/hf## to-hf, from-hf: folder of Hugging Face's transformers [out/hf]
PORT ?= 6006## tb: port [6006]
PYTHON ?=## env: the Python 3.7 to start from [found by tools/setup_env.sh]
BENCH_ARGS ?=## bench-*: more flags, such as --steps=3
TEST_ARGS ?=## test: more flags for pytest, such as "-k lamb -x"

# Where the two others differ. What is given on the command line wins.
train-perf: OUT := $(if $(filter-out file,$(origin OUT)),$(OUT),$(here)out/perf)
train-perf: GIN := $(if $(filter-out file,$(origin GIN)),$(GIN),$(here)gin/perf_1p.gin)
train-perf: performance := pretrain.performance=True;
smoke: CORPUS := $(sample)
smoke: VOCAB := $(here)data/smoke/vocab.txt
smoke: DATA := $(here)data/smoke/records
smoke: DATA_ARGS := --max_seq_length=128 --max_predictions_per_seq=20
smoke: OUT := $(here)out/smoke
smoke: GIN := $(here)gin/smoke.gin

# SET reaches the shell as it was written: `$` is not make's, lines become bindings.
define newline


endef
override SET := $(subst $(newline),;,$(value SET))
# Quotes one word for the shell, whatever is in it.
quote = '$(subst ','\'',$(1))'

run := bash $(call quote,$(root)/tools/run.sh)
setup = PYTHON=$(call quote,$(PYTHON)) bash $(call quote,$(root)/tools/setup_env.sh)
# Two workers, a file each at a time: TensorFlow's start is most of a test's time.
pytest = cd $(call quote,$(root)) && $(run) pytest -n 2 --dist loadfile
corpus_note = $(if $(filter $(sample),$(CORPUS)), (the bundled sample$(hint)))
hint = $(if $(news),,; put your own in data/news_zh_1.txt or name it: CORPUS=...)
smoke: hint :=

##@ Set up
help: ## this text
	@awk '/^##@/ {printf "%s%s\n", gap, substr($$0, 5); gap = "\n"} \
	  /^[a-z-]+:.*## / {split($$0, part, /:.*## /); printf "  make %-13s %s\n", part[1], part[2]} \
	  /^[A-Z_]+ \?=.*## / {split($$0, part, / \?=.*## /); variables = variables sprintf("  %-16s %s\n", part[1], part[2])} \
	  END {printf "\nVariables, as in: make data CORPUS=my.txt   [default]\n%s", variables}' \
	  $(call quote,$(root)/Makefile)

env: ## make the environment .venv, or say what is there
	@$(setup)

# Every target that runs Python makes the environment if need be, silently if it is there.
.PHONY: quiet-env
quiet-env:
	@$(setup) --quiet

##@ Data
define build_vocab
@bash $(call quote,$(root)/tools/vocabulary.sh) $(call quote,$(CORPUS)) $(call quote,$(VOCAB)) $(DATA_ARGS)
endef

define build_data
@echo "data: corpus "$(call quote,$(CORPUS)$(corpus_note))
@$(run) tools.create_pretraining_data --input_files=$(call quote,$(CORPUS)) --output_dir=$(call quote,$(DATA)) \
  --vocab_file=$(call quote,$(VOCAB)) $(if $(filter-out 0,$(FORCE)),--force) $(DATA_ARGS)
endef

vocab: quiet-env ## build VOCAB from CORPUS, unless the file is there
	$(build_vocab)

data: quiet-env ## make the records DATA from CORPUS and VOCAB
	$(build_vocab)
	$(build_data)

##@ Train and evaluate
define train
@$(run) albert.run_pretraining --input_file=$(call quote,$(DATA)) --output_dir=$(call quote,$(OUT)) \
  --gin_file=$(call quote,$(GIN)) --gin_param=$(call quote,$(performance) $(SET)) $(init) $(ARGS)
endef
train-full: init = $(if $(INIT),--init_checkpoint=$(call quote,$(INIT)))

# The default data set is made if it is not there; one that was named must be there.
default_dataset := $(if $(filter file,$(origin DATA)),$(DATA)/dataset.json)
ifneq ($(default_dataset),)
train-full train-perf: | $(default_dataset)
$(default_dataset): | quiet-env
	$(build_vocab)
	$(build_data)
endif

train-full: quiet-env ## pre-train on DATA into OUT, or continue; evaluates on held-out documents, keeps the best
	$(train)

train-perf: quiet-env ## a short run that prints step time, examples/s and tokens/s
	$(train)

eval: quiet-env ## evaluate the best checkpoint of OUT, or CKPT, on the held-out part of DATA
	@$(run) albert.run_pretraining --nodo_train --do_eval --input_file=$(call quote,$(DATA)) \
	  --output_dir=$(call quote,$(OUT)) --init_checkpoint=$(call quote,$(CKPT)) --gin_file=$(call quote,$(GIN)) \
	  --gin_param=$(call quote,$(SET)) $(ARGS)

export: quiet-env ## write CKPT as a SavedModel, a frozen graph or ONNX into EXPORT: docs/export.md
	@$(run) tools.checkpoints export $(call quote,$(or $(CKPT),$(wildcard $(OUT)/best),$(OUT))) \
	  $(call quote,$(EXPORT)) $(ARGS)

tb: quiet-env ## TensorBoard on OUT, at http://localhost:PORT
	@echo "TensorBoard on "$(call quote,$(OUT))": http://localhost:$(PORT)/ (Ctrl-C ends it)"
	@$(run) tensorboard.main --logdir=$(call quote,$(OUT)) --port=$(PORT)

##@ Convert
to-hf: quiet-env ## make HF, a folder for Hugging Face's transformers, of the best checkpoint of OUT, or of CKPT
	@source=$(call quote,$(OUT)); if [ -d "$$source/best" ]; then source=$$source/best; fi; \
	  $(run) tools.checkpoints to-hf $(if $(CKPT),$(call quote,$(CKPT)),"$$source") $(call quote,$(HF)) $(ARGS)

from-hf: quiet-env ## make the run OUT of such a folder, HF
	@$(run) tools.checkpoints from-hf $(call quote,$(HF)) $(call quote,$(OUT)) $(ARGS)

##@ Measure
sample_args = $(if $(filter $(sample),$(CORPUS)),,--input_files=$(call quote,$(CORPUS)))
vocab_args_if_there = $(if $(wildcard $(VOCAB)),$(if $(sample_args),--vocab_file=$(call quote,$(VOCAB))))

bench-data: quiet-env ## how fast records are made from CORPUS [the sample, repeated], and where the time goes
	@$(run) tools.benchmarks.data $(sample_args) $(vocab_args_if_there) $(BENCH_ARGS)

bench-input: quiet-env ## how fast records are read and masked, in examples per CPU-second
	@$(run) tools.benchmarks.input $(BENCH_ARGS)

bench: quiet-env ## time of a training step against the plain graph of test/support/plain_albert.py, base and tiny
	@$(run) tools.benchmark --compare $(ARGS) $(BENCH_ARGS)

bench-packing: quiet-env ## real tokens/s of packed rows of DATA against the plain graph on its records, base
	@$(run) tools.benchmark --packing --input_file=$(call quote,$(DATA)) $(BENCH_ARGS)

bench-memory: quiet-env ## base at 32 x 512 in micro-batches of 4: time against the same run alone, peak memory
	@$(run) tools.benchmark --micro_batch_size=4 --batch_size=32 --steps=3 $(BENCH_ARGS)

bench-growth: quiet-env ## how the time and memory of a base step grow with sequence length, batch and layers
	@$(run) tools.benchmark --grow $(BENCH_ARGS)

##@ Check
smoke: quiet-env ## the whole path in minutes: vocabulary, records, a small ALBERT on the CPU, held-out figures
	$(build_vocab)
	$(build_data)
	$(train)
	@$(run) tools.check_learning $(call quote,--output_dir=$(OUT))

check: quiet-env ## lint, layering and configurations
	@cd $(call quote,$(root)) && $(run) ruff check .
	@if command -v shellcheck > /dev/null; then cd $(call quote,$(root)) && shellcheck */*.sh .ci/run; fi
	@$(pytest) test/layering_test.py test/configs_test.py test/model/model_sizes_test.py

test-unit: quiet-env ## the fast tests
	@$(pytest) -m 'not integration' $(TEST_ARGS)

test-faults: quiet-env ## SIGKILL 50 times (FAULT_KILLS=...), break and fill everything; a table of what survives
	@export FAULT_KILLS=$${FAULT_KILLS:-50}; $(pytest) --dist load -m fault $(TEST_ARGS)

test: test-unit ## all tests: the fast ones, then those that start whole programs
	@$(pytest) -m integration $(TEST_ARGS)

test-spark: ## the tests of --engine=spark on local[2], where Java is there; installs requirements-spark.txt in .venv
	@bash $(call quote,$(root)/tools/test_spark.sh) $(TEST_ARGS)

clean: ## remove the smoke run, the performance run and caches; not data/records, full runs or .venv
	@cd $(call quote,$(root)) && rm -rf out/smoke out/perf data/smoke .pytest_cache .ruff_cache .hypothesis
	@find $(call quote,$(root)) -name .venv -prune -o -name __pycache__ -type d -print0 | xargs -0 rm -rf
