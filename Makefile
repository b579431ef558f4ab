# The front door. `make help` explains it; README.md shows it at work.
# Needs make, bash and a Python 3.7 to start from; everything else is installed in .venv/.

SHELL := bash
.DEFAULT_GOAL := help
.NOTPARALLEL:
targets := help env vocab data bench-data bench-input bench bench-packing bench-memory bench-growth bench-ranks \
  bench-finetune soak study train-full train-perf eval finetune predict evaluate-task fill-mask embed report export tb \
  to-hf from-hf smoke check test test-unit test-spark test-horovod test-faults env-horovod clean
.PHONY: $(targets)

# Works as `make`, `make -C folder` and `make -f folder/Makefile`: defaults lie in the folder of this file, given
# paths are relative to where make runs.
makefile := $(lastword $(MAKEFILE_LIST))
root := $(if $(filter Makefile,$(makefile)),$(CURDIR),$(patsubst %/,%,$(dir $(abspath $(makefile)))))
here := $(if $(filter Makefile,$(makefile)),,$(root)/)

# Variables. A `##` comment is what `make help` prints.
sample := $(here)data/sample_zh.txt
news := $(wildcard $(here)data/news_zh_1.txt)

CORPUS ?= $(or $(news),$(sample))## text: files, globs or folders, separated by commas; packed or JSON too: docs/data.md [data/news_zh_1.txt, else the sample]
VOCAB ?= $(here)data/vocab.txt## vocabulary; built from CORPUS if the file is absent [data/vocab.txt]
DATA ?= $(here)data/records## folder of the records [data/records]
DATA_ARGS ?=## more flags for the data tool, such as "--max_seq_length=128 --dupe_factor=5"
FORCE ?=## FORCE=1: data: make the records again even if they are there
OUT ?= $(here)out## folder of the run [out; train-perf: out/perf]
GIN ?= $(here)gin/1p.gin## experiment [gin/1p.gin; train-perf: gin/perf_1p.gin]
SET ?=## hyperparameters, such as "pretrain.num_train_steps=100; SessionOptions.device='cpu'"
INIT ?=## weights to start from, or model that answers: a run, its best/, a prefix, a release; train-full, finetune: or its archive, or a Hugging Face folder [OUT]
TASK ?=## finetune: what is learned: a file of gin/finetune, such as classify, pair, tag, read or tnews
SEEDS ?=## finetune: one run for each of these seeds, such as 1,2,3, then mean and deviation
FOLDS ?=## finetune: one run for each of so many folds of train
TEXT ?=## fill-mask: a text with [MASK] in it, such as "中国的首都是[MASK]京"
INPUT ?=## fill-mask, embed, predict: file of texts, one in each line; predict: or of any layout of training; - is the standard input
OUTPUT ?=## embed: .npy file to write; predict: file of JSON lines to write
LABELLED ?=## predict: LABELLED=1: reads labels too and tells the figures
CANDIDATES ?=## fill-mask: the only tokens to choose from, such as 北,南
TOP ?= 5## fill-mask: how many tokens of each mask [5]
POOL ?= mean## embed: mean, cls or pooler [mean]
RANKS ?=## train-full, train-perf, eval: processes of this machine that divide each batch, a GPU or cores each; needs make env-horovod [1]
ARGS ?=## more flags for training, evaluation, export and conversion, such as "--format=onnx --task=masked_lm"
CKPT ?=## eval, export, to-hf: checkpoint to take [the best of OUT]
EXPORT ?= $(OUT)/export## export: new folder of the export [OUT/export]
HF ?= $(here)out/hf## to-hf, from-hf: folder of Hugging Face's transformers [out/hf]
PORT ?= 6006## tb: port [6006]
# Not from the environment, where some shells have a HOST of their own.
HOST := localhost## tb: HOST=0.0.0.0: whoever reaches this machine sees TensorBoard [localhost]
PYTHON ?=## env: the Python 3.7 to start from [found by tools/setup_env.sh]
BENCH_ARGS ?=## bench-*: more flags, such as --steps=3
TEST_ARGS ?=## test: more flags for pytest, such as "-k lamb -x"

# Values reach the programs as they were written: `$` is not make's. What is no default is `given` below.
variables := CORPUS VOCAB DATA DATA_ARGS FORCE OUT GIN SET INIT TASK SEEDS FOLDS RANKS TEXT INPUT OUTPUT LABELLED CANDIDATES TOP POOL ARGS CKPT EXPORT HF PORT HOST PYTHON BENCH_ARGS TEST_ARGS
given := $(foreach name,$(variables),$(if $(filter-out file,$(origin $(name))),$(name)))
on_command_line := $(foreach name,$(variables),$(if $(filter command override,$(origin $(name))),$(name)))
# Which targets read them. One that is given on the command line and that no target reads is a mistake; one that
# this target does not read is told: the same line of variables may serve several targets.
makes_data := vocab data smoke $(if $(filter file,$(origin DATA)),train-full train-perf)
trains := train-full train-perf eval smoke finetune
answers := fill-mask embed predict evaluate-task
readers_CORPUS := $(makes_data) bench-data study
readers_VOCAB := $(makes_data) finetune bench-data bench-finetune
readers_DATA := data $(trains) report evaluate-task bench-packing bench-finetune
readers_DATA_ARGS := $(makes_data)
readers_FORCE := data smoke
readers_OUT := $(trains) $(answers) report export tb to-hf from-hf study
readers_GIN := $(trains)
readers_SET := $(trains) $(answers)
readers_INIT := train-full finetune $(answers)
readers_TASK := finetune
readers_SEEDS := finetune
readers_FOLDS := finetune
readers_RANKS := train-full train-perf eval
readers_TEXT := fill-mask
readers_INPUT := fill-mask embed predict
readers_OUTPUT := embed predict
readers_LABELLED := predict
readers_CANDIDATES := fill-mask
readers_TOP := fill-mask
readers_POOL := embed
readers_ARGS := $(trains) $(answers) report export to-hf from-hf bench
readers_CKPT := eval export to-hf
readers_EXPORT := export
readers_HF := to-hf from-hf
readers_PORT := tb
readers_HOST := tb
readers_PYTHON := $(MAKECMDGOALS)
readers_BENCH_ARGS := bench-data bench-input bench bench-packing bench-memory bench-growth bench-ranks bench-finetune soak study
readers_TEST_ARGS := check test test-unit test-faults test-spark test-horovod
# Not where another make started this one: it hands down its own. A wrong target is told by make itself.
ifeq ($(MAKELEVEL)$(filter-out $(targets),$(MAKECMDGOALS)),0)
named := $(strip $(foreach name,$(filter-out CONDA FAULT_KILLS SHELL,$(.VARIABLES)),$(if $(filter command,$(origin $(name))),$(name))))
unknown := $(filter-out $(variables),$(named))
$(if $(unknown),$(error expected variables among $(sort $(variables)), found $(unknown); correct the name, or write it \
  before make if it is one of the environment: $(firstword $(unknown))=... make))
ifneq ($(MAKECMDGOALS),)
read := $(sort $(foreach name,$(variables),$(if $(filter $(MAKECMDGOALS),$(readers_$(name))),$(name))))
unread := $(filter-out $(read),$(named))
$(if $(unread),$(shell echo 'warning: make $(MAKECMDGOALS) does not read $(unread), but $(read); "make help" says what each is for' >&2))
endif
endif
$(foreach name,$(given),$(eval override $(name) := $$(value $(name))))
define newline


endef
# Lines of SET become bindings.
override SET := $(subst $(newline),;,$(SET))
$(foreach name,$(variables),$(if $(findstring $(newline),$($(name))),\
  $(error $(name): expected one line, found several; write it in one)))

# Where the two others differ. What is given wins, for smoke on the command line only.
train-perf: OUT := $(if $(filter OUT,$(given)),$(OUT),$(here)out/perf)
train-perf: GIN := $(if $(filter GIN,$(given)),$(GIN),$(here)gin/perf_1p.gin)
train-perf: performance := pretrain.performance=True;
unless_given = $(if $(filter $(1),$(on_command_line)),$($(1)),$(2))
smoke: CORPUS := $(call unless_given,CORPUS,$(sample))
smoke: VOCAB := $(call unless_given,VOCAB,$(here)data/smoke/vocab.txt)
smoke: DATA := $(call unless_given,DATA,$(here)data/smoke/records)
smoke: DATA_ARGS := $(call unless_given,DATA_ARGS,--max_seq_length=128 --max_predictions_per_seq=20)
smoke: OUT := $(call unless_given,OUT,$(here)out/smoke)
smoke: GIN := $(call unless_given,GIN,$(here)gin/smoke.gin)

# Quotes one word for the shell, whatever is in it.
quote = '$(subst ','\'',$(1))'
# Runs a command with the words of a variable at its end, see tools/with_words.sh.
with = bash $(call quote,$(root)/tools/with_words.sh) $(1) $(call quote,$($(1)))
# Says something; that nobody reads it is no reason to stop.
say = @trap '' PIPE; echo $(1) 2> /dev/null || true

run := bash $(call quote,$(root)/tools/run.sh)
setup = PYTHON=$(call quote,$(PYTHON)) bash $(call quote,$(root)/tools/setup_env.sh)
# Two workers, a file each at a time: TensorFlow's start is most of a test's time.
pytest = cd $(call quote,$(root)) && $(call with,TEST_ARGS) $(run) pytest -n 2 --dist loadfile
corpus_note = $(if $(filter $(sample),$(CORPUS)), (the bundled sample$(hint)))
hint = $(if $(news),,; put your own in data/news_zh_1.txt or name it: CORPUS=...)
smoke: hint :=

##@ Set up
help: ## this text
	@awk '/^##@/ {printf "%s%s\n", gap, substr($$0, 5); gap = "\n"} \
	  /^[a-z-]+:.*## / {split($$0, part, /:.*## /); printf "  make %-14s %s\n", part[1], part[2]} \
	  /^[A-Z_]+ [?:]=.*## / {split($$0, part, / [?:]=.*## /); variables = variables sprintf("  %-16s %s\n", part[1], part[2])} \
	  END {printf "\nVariables, as in: make data CORPUS=my.txt   [default]\n%s", variables; \
	    print "Values are taken as they are written: nothing is expanded; quotes in ..._ARGS and ARGS keep words together."}' \
	  $(call quote,$(root)/Makefile)

env: ## make the environment .venv, or say what is there
	@$(setup)

env-horovod: ## build Horovod in .venv, for RANKS; needs a C++ compiler and some minutes
	@bash $(call quote,$(root)/tools/env_horovod.sh)

# Every target that runs Python makes the environment if need be, silently if it is there.
.PHONY: quiet-env
quiet-env:
	@$(setup) --quiet

##@ Data
define build_vocab
@$(call with,DATA_ARGS) bash $(call quote,$(root)/tools/vocabulary.sh) $(call quote,$(CORPUS)) $(call quote,$(VOCAB))
endef

define build_data
$(call say,"data: corpus "$(call quote,$(CORPUS)$(corpus_note)))
@$(call with,DATA_ARGS) $(run) tools.create_pretraining_data --input_files=$(call quote,$(CORPUS)) \
  --output_dir=$(call quote,$(DATA)) --vocab_file=$(call quote,$(VOCAB)) $(if $(filter-out 0,$(FORCE)),--force)
endef

vocab: quiet-env ## build VOCAB from CORPUS, unless the file is there
	$(build_vocab)

data: quiet-env ## make the records DATA from CORPUS and VOCAB
	$(build_vocab)
	$(build_data)

##@ Train and evaluate
define train
@$(call with,ARGS) $(run) $(launch) albert.run_pretraining --input_file=$(call quote,$(DATA)) \
  --output_dir=$(call quote,$(OUT)) --gin_file=$(call quote,$(GIN)) --gin_param=$(call quote,$(performance) $(SET)) $(init)
endef
train-full train-perf eval: launch = $(if $(filter-out 1,$(RANKS)),tools.launch --ranks=$(call quote,$(RANKS)) --)
train-full: init = $(if $(INIT),--init_checkpoint=$(call quote,$(INIT)))

# The default data set is made if it is not there; one that was named must be there.
default_dataset := $(if $(filter file,$(origin DATA)),$(DATA)/dataset.json)
ifneq ($(default_dataset),)
# With text that was named it is compared with it.
.PHONY: $(if $(filter CORPUS VOCAB DATA_ARGS,$(on_command_line)),$(default_dataset))
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
	@$(call with,ARGS) $(run) $(launch) albert.run_pretraining --nodo_train --do_eval --input_file=$(call quote,$(DATA)) \
	  --output_dir=$(call quote,$(OUT)) --init_checkpoint=$(call quote,$(CKPT)) --gin_file=$(call quote,$(GIN)) \
	  --gin_param=$(call quote,$(SET))

##@ See what it has learned, fine-tune it, hand it on
report_data = $(if $(filter DATA,$(given)),$(call quote,--input_file=$(DATA)))
model = $(or $(INIT),$(OUT))
fill-mask: quiet-env ## what INIT puts where TEXT, or each line of INPUT, says [MASK]; ARGS=--json
	@$(call with,ARGS) $(run) tools.fill_mask --init=$(call quote,$(model)) --text=$(call quote,$(TEXT)) \
	  --input_file=$(call quote,$(INPUT)) --candidates=$(call quote,$(CANDIDATES)) --top=$(call quote,$(TOP)) \
	  --gin_param=$(call quote,$(SET))

embed: quiet-env ## vectors of the lines of INPUT from INIT into OUTPUT, a .npy file
	@$(call with,ARGS) $(run) tools.embed --init=$(call quote,$(model)) --input_file=$(call quote,$(INPUT)) \
	  --output_file=$(call quote,$(OUTPUT)) --pool=$(call quote,$(POOL)) --gin_param=$(call quote,$(SET))

report: quiet-env ## report.html in OUT: curves, figures in words, predictions, settings; also of a run in progress
	@$(call with,ARGS) $(run) tools.report $(call quote,--output_dir=$(OUT)) \
	  $(report_data)

# The checkpoint that is converted: CKPT, else the best of OUT, else its newest. Like the other paths that no flag names,
# it gets ./ before a dash.
define choose_checkpoint
@source=$(call quote,$(CKPT)); best=$(call quote,$(OUT))/best; \
  if [ -z "$$source" ]; then source=$(call quote,$(OUT)); if [ -d "$$best" ]; then source=$$best; fi; fi; \

endef

finetune: alone = $(if $(filter-out 1,$(RANKS)),$(error RANKS=$(RANKS): expected one process in fine-tuning, whose \
  batches are a few rows, found $(RANKS); leave RANKS out))
finetune: quiet-env ## train TASK on the labelled text in DATA from INIT into OUT, or continue; keeps the best on dev
	@$(alone)$(call with,ARGS) $(run) albert.run_finetuning --task=$(call quote,$(TASK)) \
	  --data_dir=$(call quote,$(if $(filter DATA,$(given)),$(DATA))) --init=$(call quote,$(INIT)) \
	  --output_dir=$(call quote,$(if $(filter OUT,$(given)),$(OUT))) \
	  --vocab_file=$(call quote,$(if $(filter VOCAB,$(given)),$(VOCAB))) \
	  $(if $(SEEDS),--seeds=$(call quote,$(SEEDS))) $(if $(FOLDS),--folds=$(call quote,$(FOLDS))) \
	  $(if $(filter GIN,$(given)),--gin_file=$(call quote,$(GIN))) --gin_param=$(call quote,$(SET))

predict: quiet-env ## answers of the fine-tuned INIT to each line of INPUT into OUTPUT; ARGS=--clue_format, --n_best=3
	@$(call with,ARGS) $(run) tools.predict --init=$(call quote,$(model)) --input_file=$(call quote,$(INPUT)) \
	  --output_file=$(call quote,$(OUTPUT)) $(if $(filter-out 0,$(LABELLED)),--labelled) --gin_param=$(call quote,$(SET))

evaluate-task: quiet-env ## figures of the fine-tuned INIT on DATA, a labelled file or a folder with dev and test
	@$(call with,ARGS) $(run) tools.evaluate_task --init=$(call quote,$(model)) \
	  --data=$(call quote,$(if $(filter DATA,$(given)),$(DATA))) --gin_param=$(call quote,$(SET))

export: quiet-env ## write CKPT as a SavedModel, a frozen graph or ONNX into EXPORT: docs/export.md
	$(choose_checkpoint) target=$(call quote,$(EXPORT)); \
	  $(call with,ARGS) $(run) tools.checkpoints export "$${source/#-/./-}" "$${target/#-/./-}"

tb: quiet-env ## TensorBoard on OUT, at http://HOST:PORT
	@$(run) tools.tensorboard $(call quote,--logdir=$(OUT)) $(call quote,--host=$(HOST)) $(call quote,--port=$(PORT))

##@ Convert
to-hf: quiet-env ## make HF, a folder for Hugging Face's transformers, of the best checkpoint of OUT, or of CKPT
	$(choose_checkpoint) target=$(call quote,$(HF)); \
	  $(call with,ARGS) $(run) tools.checkpoints to-hf "$${source/#-/./-}" "$${target/#-/./-}"

from-hf: quiet-env ## make the run OUT of such a folder, HF
	@source=$(call quote,$(HF)); target=$(call quote,$(OUT)); \
	  $(call with,ARGS) $(run) tools.checkpoints from-hf "$${source/#-/./-}" "$${target/#-/./-}"

##@ Measure
sample_args = $(if $(filter $(sample),$(CORPUS)),,--input_files=$(call quote,$(CORPUS)))
vocab_args_if_there = $(if $(wildcard $(VOCAB)),$(if $(sample_args),--vocab_file=$(call quote,$(VOCAB))))

bench-data: quiet-env ## how fast records are made from CORPUS [the sample, repeated], and where the time goes
	@$(call with,BENCH_ARGS) $(run) tools.benchmarks.data $(sample_args) $(vocab_args_if_there)

bench-input: quiet-env ## how fast records are read and masked, in examples per CPU-second
	@$(call with,BENCH_ARGS) $(run) tools.benchmarks.input

bench: quiet-env ## time of a training step against the plain graph of test/support/plain_albert.py, base and tiny
	@$(call with,BENCH_ARGS) $(call with,ARGS) $(run) tools.benchmark --compare

bench-packing: quiet-env ## real tokens/s of packed rows of DATA against the plain graph on its records, base
	@$(call with,BENCH_ARGS) $(run) tools.benchmark --packing --input_file=$(call quote,$(DATA))

bench-memory: quiet-env ## base at 32 x 512 in micro-batches of 4: time against the same run alone, peak memory
	@$(call with,BENCH_ARGS) $(run) tools.benchmark --micro_batch_size=4 --batch_size=32 --steps=3

bench-growth: quiet-env ## how the time and memory of a base step grow with sequence length, batch and layers
	@$(call with,BENCH_ARGS) $(run) tools.benchmark --grow

bench-ranks: quiet-env ## two ranks with a core each against one with a core, and against one with two towers
	@$(call with,BENCH_ARGS) $(run) tools.benchmarks.ranks

bench-finetune: quiet-env ## an epoch of fine-tuning on DATA, packed against padded rows, tiny and base
	@$(call with,BENCH_ARGS) $(run) tools.benchmarks.finetuning \
	  --data_dir=$(call quote,$(if $(filter DATA,$(given)),$(DATA))) \
	  --vocab_file=$(call quote,$(if $(filter VOCAB,$(given)),$(VOCAB)))

soak: quiet-env ## does a run grow? memory and descriptors of a tiny one after each of 60 evaluations
	@$(call with,BENCH_ARGS) $(run) tools.benchmarks.soak

study: OUT := $(if $(filter OUT,$(given)),$(OUT),$(here)out/study)
study: quiet-env ## which recipe learns most in an hour? a table of runs on CORPUS, one after the other: docs/results.md
	@$(call with,BENCH_ARGS) $(run) tools.studies.study --input_files=$(call quote,$(CORPUS)) --output_dir=$(call quote,$(OUT))

##@ Check
smoke: quiet-env ## the whole path in minutes: vocabulary, records, a small ALBERT on the CPU, held-out figures
	$(build_vocab)
	$(build_data)
	$(train)
	@$(run) tools.check_learning $(call quote,--output_dir=$(OUT))
	@$(run) tools.fill_mask $(call quote,--init=$(OUT)) $(call quote,--heldout=$(DATA))

check: quiet-env ## lint, layering and configurations
	@cd $(call quote,$(root)) && $(run) ruff check .
	@if command -v shellcheck > /dev/null; then cd $(call quote,$(root)) && shellcheck */*.sh .ci/run; fi
	@$(pytest) test/layering_test.py test/configs_test.py test/model/model_sizes_test.py

test-unit: quiet-env ## the fast tests
	@$(pytest) -m 'not integration'

test-faults: quiet-env ## SIGKILL 50 times (FAULT_KILLS=...), break and fill everything; a table of what survives
	@export FAULT_KILLS=$${FAULT_KILLS:-50}; $(pytest) --dist load -m fault

test: test-unit ## all tests: the fast ones, then those that start whole programs
	@$(pytest) -m integration

test-spark: ## the tests of --engine=spark on local[2], where Java is there; installs requirements-spark.txt in .venv
	@$(call with,TEST_ARGS) bash $(call quote,$(root)/tools/test_spark.sh)

test-horovod: ## the tests of RANKS=2 on this machine; makes env-horovod
	@$(call with,TEST_ARGS) bash $(call quote,$(root)/tools/test_horovod.sh)

clean: ## remove the smoke run, the performance run and caches; not data/records, full runs or .venv
	@cd $(call quote,$(root)) && rm -rf out/smoke out/perf data/smoke .pytest_cache .ruff_cache .hypothesis
	@find $(call quote,$(root)) -name .venv -prune -o -name __pycache__ -type d -print0 | xargs -0 rm -rf
