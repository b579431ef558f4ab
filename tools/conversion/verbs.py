"""What tools.checkpoints can do: a table of verbs. A new one is an entry and a function."""

import collections
import inspect

from albert.common.errors import UserError
from albert.model.config import ACTIVATIONS
from tools.conversion import averaging
from tools.conversion import checkpoint_text
from tools.conversion import comparing
from tools.conversion import early_chinese
from tools.conversion.exporting import export
from tools.conversion import fine_tuned
from tools.conversion.hugging_face import folder
from tools.conversion import inspection
from tools.conversion import probing
from tools.conversion.reading import Checkpoint
from tools.conversion import renaming
from tools.conversion import writing

# arguments: what follows the verb, as people write it. least, most: how many. flags: names of the flags that it takes
# besides --json. run: function(arguments, options) -> Outcome, whose docstring is the verb's help.
Verb = collections.namedtuple('Verb', ['arguments', 'least', 'most', 'flags', 'run'])
# value: plain values, for --json. print_text: function of them. code: exit code.
Outcome = collections.namedtuple('Outcome', ['value', 'print_text', 'code'])
Outcome.__new__.__defaults__ = (0,)


def _inspect(arguments, _):
  """Says what is in a checkpoint: family and why, parts, parameters, norms, types, values that are not finite.

  Also whether the configuration and the vocabulary beside it fit.
  """
  return Outcome(inspection.inspect(Checkpoint(arguments[0])), checkpoint_text.print_inspection)


def _diff(arguments, options):
  """Variables and values that differ, the largest difference first.

  --outputs: also what both models make of one random batch.
  """
  first, second = [Checkpoint(argument) for argument in arguments]
  result = comparing.diff(first, second)
  if options.outputs:
    result['outputs'] = comparing.output_differences(first, second)
  return Outcome(result, checkpoint_text.print_diff)


def _strip(arguments, options):
  """A copy without the optimizer's variables."""
  return _written([Checkpoint(arguments[0])], lambda sources: averaging.strip(sources[0]), options.output)


def _average(arguments, options):
  """The mean of the weights, with the largest global_step; without the optimizer's variables.

  --last: of a run's N newest checkpoints. --best: of the K with the best held-out figure.
  """
  by = None
  if options.last is not None or options.best is not None:
    if len(arguments) != 1 or (options.last is not None and options.best is not None):
      raise UserError('expected average --last=N RUN or average --best=K RUN, found {}; name one folder and one of the '
                      'two'.format(' '.join(arguments)))
    if options.best is not None:
      arguments, by = averaging.best(arguments[0], options.best)
    else:
      arguments = averaging.newest(arguments[0], options.last)
  if len(arguments) < 2:
    raise UserError('expected at least two checkpoints to average, found {}; name more, or a run with --last=N or '
                    '--best=K'.format(len(arguments)))
  return _written([Checkpoint(argument) for argument in arguments], averaging.average, options.output, by)


def _written(sources, make, output, by=None):
  """Writes what make(sources) gives at the prefix `output`."""
  writing.check_output(output)
  writing.check_description([source.path for source in sources], output)
  tensors = make(sources)
  writing.write_checkpoint(output, tensors)
  written = Checkpoint(output)
  report = {'checkpoint': written.path, 'from': [source.path for source in sources], 'global_step': written.step,
            'variables': len(tensors), 'left_out': len(sources[0].shapes) - len(tensors),
            'copied': writing.copy_description(sources[0].path, written.path)}
  if by is not None:
    report['by'] = by
  return Outcome(report, checkpoint_text.print_written)


def _verify(arguments, options):
  """Says whether a checkpoint is whole; exit code 1 and a list if it is not.

  Compared are its manifest, finite values, the variables that the configuration needs and those that it does not know,
  tokens and rows.
  --probe: also the masked-LM loss on the bundled Chinese text, as configured and with other heads, activations and
  places of the norms, which show in no shape. Says which key to change, or that the vocabulary or the weights are
  wrong.
  """
  checkpoint = Checkpoint(arguments[0])
  result = inspection.verify(checkpoint)
  if options.probe:
    result['probe'] = probing.probe(checkpoint, (lambda line: None) if options.json else print)
    result['problems'] = result['problems'] + result['probe']['problems']
  return Outcome(result, checkpoint_text.print_verification, 1 if result['problems'] else 0)


def _rename(arguments, options):
  r"""Other names for variables.

  FILE has "OLD NEW" on each line: OLD is a regular expression of a whole name, NEW may refer to its groups as \1.
  Slots follow their weight. A name for two variables is refused.
  """
  writing.check_output(options.output)
  if not options.map:
    raise UserError('expected --map=FILE with "OLD NEW" on each line, found none; write one')
  source = Checkpoint(arguments[0])
  writing.check_description([source.path], options.output)
  tensors, changed = renaming.renamed(source, renaming.read_map(options.map))
  writing.write_checkpoint(options.output, tensors)
  return Outcome({'checkpoint': options.output, 'from': source.path, 'renamed': changed,
                  'unchanged': len(tensors) - len(changed),
                  'copied': writing.copy_description(source.path, options.output)}, checkpoint_text.print_renamed)


def _to_hf(arguments, options):
  """A folder that AutoModel, AutoTokenizer and pipeline of Hugging Face's transformers load as it is.

  --task: what a fine-tuned head is for, where task.json does not say so. --ignore: variables without a counterpart that
  may be left out. --dedupe: repairs a vocabulary with repeated tokens.
  """
  _check_choice('task', options.task, fine_tuned.KINDS)
  return Outcome(folder.write(Checkpoint(arguments[0]), arguments[1], options.task, options.ignore, options.dedupe),
                 checkpoint_text.print_conversion)


def _from_hf(arguments, options):
  """The way back: RUN/model.ckpt-0, albert_config.json, vocab.txt and source.json.

  Reads model.safetensors and pytorch_model.bin, without PyTorch.
  --hidden_act: the activation, where config.json says the erf form. --drop_segment_row: leaves out a row of the table
  of segments (UER's row 0). --ignore, --dedupe: as for to-hf.
  """
  _check_choice('hidden_act', options.hidden_act, ACTIVATIONS)
  return Outcome(folder.read(arguments[0], arguments[1], options.hidden_act, options.ignore, options.dedupe,
                             options.drop_segment_row), checkpoint_text.print_conversion)


def _from_albert_zh(arguments, options):
  """The early Chinese family (word_embeddings_2, layer_shared) as this one, exactly, with E = H.

  --ln_type: where its JSON does not say; preln is another model and refused. --ignore, --dedupe: as for to-hf.
  """
  _check_choice('ln_type', options.ln_type, (early_chinese.POST_LN, early_chinese.PRE_LN))
  return Outcome(early_chinese.make_run(Checkpoint(arguments[0]), arguments[1], options.ln_type, options.ignore,
                                        options.dedupe), checkpoint_text.print_conversion)


def _export(arguments, options):
  """The model for programs that serve it, compared with the checkpoint in a fresh process; see docs/export.md.

  --format: saved_model (the default), pb or onnx. --task: what it answers. --batch_size, --max_seq_length,
  --max_predictions_per_seq: the sizes that --format=pb fixes. --float16: matrices in half precision. --quantize: ONNX
  with products and embeddings in int8.
  """
  sizes = export.Sizes(options.batch_size, options.max_seq_length, options.max_predictions_per_seq)
  chosen = export.Options(options.format, options.task, sizes, options.float16, options.quantize)
  return Outcome(export.export(arguments[0], arguments[1], chosen), export.print_report)


def _check_choice(flag, value, choices):
  if value is not None and value not in choices:
    raise UserError('--{}: expected one of {}, found {!r}; correct it'.format(flag, ', '.join(choices), value))


VERBS = collections.OrderedDict([
    ('inspect', Verb('CHECKPOINT', 1, 1, (), _inspect)),
    ('diff', Verb('CHECKPOINT CHECKPOINT [--outputs]', 2, 2, ('outputs',), _diff)),
    ('strip', Verb('CHECKPOINT --output=PREFIX', 1, 1, ('output',), _strip)),
    ('average', Verb('CHECKPOINT CHECKPOINT ... | --last=N RUN | --best=K RUN  --output=PREFIX',
                      1, None, ('output', 'last', 'best'), _average)),
    ('verify', Verb('CHECKPOINT [--probe]', 1, 1, ('probe',), _verify)),
    ('rename', Verb('CHECKPOINT --map=FILE --output=PREFIX', 1, 1, ('map', 'output'), _rename)),
    ('to-hf', Verb('CHECKPOINT FOLDER [--task=classify|regress|tag|read] [--ignore=REGEX] [--dedupe]',
                    2, 2, ('task', 'ignore', 'dedupe'), _to_hf)),
    ('from-hf', Verb('FOLDER RUN [--hidden_act=gelu|relu] [--ignore=REGEX] [--dedupe] [--drop_segment_row=N]',
                      2, 2, ('hidden_act', 'ignore', 'dedupe', 'drop_segment_row'), _from_hf)),
    ('from-albert-zh', Verb('CHECKPOINT RUN [--ln_type=postln] [--ignore=REGEX] [--dedupe]',
                             2, 2, ('ln_type', 'ignore', 'dedupe'), _from_albert_zh)),
    ('export', Verb('CHECKPOINT FOLDER [--format=saved_model|pb|onnx] [--task=features|masked_lm|sentence_order] ...',
                     2, 2, ('format', 'task', 'batch_size', 'max_seq_length', 'max_predictions_per_seq', 'float16',
                            'quantize'), _export)),
])


def usage():
  """All verbs, as lines for people."""
  return '\n'.join('python -m tools.checkpoints {} {}'.format(name, verb.arguments) for name, verb in VERBS.items())


def help_of(name):
  """What one verb does, as lines for people."""
  verb = VERBS[name]
  return 'python -m tools.checkpoints {} {} [--json]\n\n{}'.format(name, verb.arguments, inspect.getdoc(verb.run))


def carry_out(name, arguments, options, given_flags):
  """The Outcome of a verb.

  Args:
    name: key of VERBS. arguments: list of str.
    options: has the flags as attributes.
    given_flags: names of the flags that were given.

  Raises:
    UserError: no such verb, another number of arguments, a flag that means nothing to it, or what it refuses.
  """
  if name not in VERBS:
    raise UserError('expected one of {}, found {}; a verb alone shows its help'.format(
        ', '.join(VERBS), ' '.join([name or 'nothing'] + arguments)))
  verb = VERBS[name]
  if len(arguments) < verb.least or (verb.most is not None and len(arguments) > verb.most):
    raise UserError('expected {} {}, found {}; "{} {}" alone shows its help'.format(
        name, verb.arguments, ' '.join([name] + arguments), 'python -m tools.checkpoints', name))
  strangers = sorted(flag for flag in given_flags if flag not in verb.flags + ('json',))
  if strangers:
    raise UserError('expected flags of {} ({}), found --{}; leave it out'.format(
        name, ', '.join('--' + flag for flag in verb.flags + ('json',)), strangers[0]))
  return verb.run(arguments, options)
