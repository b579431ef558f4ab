"""Every name in the folder of a run. Needs no TensorFlow, so that tools may read a run without loading it.

    albert_config.json, vocab.txt   what the checkpoints need to be used elsewhere
    model.ckpt-<step>.*             checkpoints, each with a manifest; `checkpoint` is TensorFlow's own pointer to one
    best/                           a copy of the best checkpoint, best.json with its held-out figures, and what they
                                    need to be used elsewhere
    run_state.json                  settings that the weights depend on, the schedule, changes, data that was left out
    command_line.txt                each start: time, command, git commit, data
    loss_history.tsv                step and training loss, one line each time they were logged
    heldout_history.tsv             step and held-out figures, one line per evaluation
    results.json                    the latest figures; evaluation.json: those of `make eval`
    performance.json                throughput of a performance run, whose folder it marks
    report.html                     what tools.report made of all this, to read
    lost_records.tsv, checked_records.tsv, record_lengths-*.npz
                                    of the data set: records that could not be read, files that are good, lengths
    bad_step-<step>.json            records and norms of the last update that was not finite, where a run ended by it
    train.log                       everything that was said, of all starts
    eval_heldout/                   TensorBoard's files of the held-out figures; those of training lie in the folder
    run.lock                        who writes here
    source.json                     of weights from elsewhere: where they come from, what was mapped and left out
    labels.json, task.json          of a fine-tuned model: its labels in order, its kind
    records/, init/                 of fine-tuning: its text as a data set; weights that were converted to start from
    predictions-dev.jsonl, -test    what the best checkpoint of a fine-tuned run answers; of folds their mean
    report.md, confusion.tsv, confusion.png, curves.png
                                    figures of those answers, to read
    seed-<n>/, fold-<n>/            in the folder of several fine-tuning runs, one run each
"""

from albert.dataset.contract import VOCAB_FILE
from albert.dataset.data_files import CHECKED_RECORDS_FILE  # noqa: F401, part of this module's interface
from albert.dataset.data_files import COUNTED_FILE  # noqa: F401
from albert.dataset.data_files import LOST_RECORDS_FILE  # noqa: F401

CONFIG_FILE = 'albert_config.json'
# What a checkpoint is of no use without.
DESCRIPTION = (CONFIG_FILE, VOCAB_FILE)
RESULTS_FILE = 'results.json'
EVALUATION_FILE = 'evaluation.json'
PERFORMANCE_FILE = 'performance.json'
LOSS_HISTORY_FILE = 'loss_history.tsv'
HELDOUT_HISTORY_FILE = 'heldout_history.tsv'
BAD_STEP_FILE = 'bad_step-{}.json'
COMMAND_LINE_FILE = 'command_line.txt'
STATE_FILE = 'run_state.json'
LOCK_FILE = 'run.lock'
SOURCE_FILE = 'source.json'
LABELS_FILE = 'labels.json'
TASK_FILE = 'task.json'
# What a fine-tuned checkpoint is of no use without, besides.
TASK_DESCRIPTION = (LABELS_FILE, TASK_FILE)
# What a fine-tuned run answers, by split, and the figures of it.
PREDICTIONS_FILE = 'predictions-{}.jsonl'
ANSWERS_FILE = 'report.md'
CONFUSION_TABLE = 'confusion.tsv'
CONFUSION_PICTURE = 'confusion.png'
CURVES_PICTURE = 'curves.png'
# Of several runs, by seed or by the number of the fold.
SEED_FOLDER, FOLD_FOLDER = 'seed-{}', 'fold-{}'
LOG_FILE = 'train.log'
REPORT_FILE = 'report.html'
HELDOUT_FOLDER = 'eval_heldout'
EVENT_FILES = 'events.out.tfevents.*'

BEST_FOLDER = 'best'
BEST_FILE = 'best.json'

CHECKPOINT = 'model.ckpt'
POINTER_FILE = 'checkpoint'
MANIFEST = '.manifest.json'
# The manifest's name until its checkpoint is complete, and again while it is removed.
UNFINISHED = MANIFEST + '.tmp'
# Where a checkpoint is written, each process in a folder of its own name; what a killed one left is removed at the next
# start, so that a process from before has nothing left to rename.
SAVING_FOLDER = 'saving-{}.tmp'
