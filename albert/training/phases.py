"""Phases of a run: parts of its steps, which may differ in depth, data, batch or masks.

    pretrain.phases = [{'share': 0.3, 'num_hidden_layers': 2}, {'share': 0.7}]

All layers share their weights, so depth is nothing that a checkpoint has: a run may begin with few layers, whose steps
are cheap, and go on with all of them (Gong et al. 2019, "Efficient Training of BERT by Progressively Stacking", of
layers that have weights of their own). BERT's 90% at 128 tokens and 10% at 512 are two phases with two data sets. A
phase is a plan of its own, derived from that of the run, and a graph of its own; weights, slots, step, rate, position,
histories and evaluations go through all of them.
"""

import collections
import contextlib
import dataclasses
import logging
import os

from albert.common import checks
from albert.common.errors import UserError
from albert.dataset import contract
from albert.device import cores
from albert import npu_session

_LOG = logging.getLogger('albert')

# number: int from 1. count: of all phases. first, end: int, it makes the updates from step `first` to step `end`. plan:
# planning.Plan, that of the run with what differs in this phase.
Phase = collections.namedtuple('Phase', ['number', 'count', 'first', 'end', 'plan'])

# The settings of a phase, each with its check(name, value). One that is left out is as in the whole run.
# share: of the steps, relative to those of the others. data: folder of a data set, beside --input_file unless it is a
# path. And those of its records that may be read otherwise.
_SETTINGS = dict(contract.READ_OTHERWISE, **{
    'share': checks.positive_number, 'num_hidden_layers': checks.whole_number, 'train_batch_size': checks.whole_number,
    'micro_batch_size': checks.whole_number, 'packing': checks.flag,
    'data': lambda name, value: _check_path(name, value)})
# Where other things of a phase come from, for whoever looks for them here.
_ELSEWHERE = {'max_seq_length': 'the length comes with the data', 'S': 'the length comes with the data',
              'learning_rate': 'the rate has one schedule for all phases'}
# Settings of a data set that decide, besides the text, which documents are held out of it.
_HOLD_OUT = ('random_seed', 'heldout_fraction', 'documents', 'text_field', 'min_characters', 'min_han_share',
             'duplicates')
# What a run records of each, besides its cores.
_RECORDED = ('share', 'num_hidden_layers', 'train_batch_size', 'micro_batch_size', 'data_set', 'packing') + tuple(
    contract.READ_OTHERWISE)


def _check_path(name, value):
  checks.fits(name, value, isinstance(value, str) and bool(value), 'the folder of a data set')


def checked(name, value):
  """The phases of an option: a tuple of dicts, empty for one phase that is like the whole run.

  Args:
    name: as the user writes it, such as pretrain.phases.
    value: as the user gave it.

  Raises:
    UserError: it is no list of dicts with shares and known settings.
  """
  checks.fits(name, value, isinstance(value, (list, tuple)) and all(isinstance(phase, dict) for phase in value),
              "a list such as [{'share': 0.3, 'num_hidden_layers': 2}, {'share': 0.7}]")
  for number, phase in enumerate(value, 1):
    unknown = sorted(str(setting) for setting in phase if setting not in _SETTINGS)
    if unknown or 'share' not in phase:
      hints = collections.OrderedDict.fromkeys(_ELSEWHERE[setting] for setting in unknown if setting in _ELSEWHERE)
      raise UserError('{} {}: expected a share and settings among {}, found {}; correct it{}'.format(
          name, number, ', '.join(sorted(_SETTINGS)), ', '.join(unknown) or 'no share',
          ''.join(' ({})'.format(hint) for hint in hints)))
    for setting in phase:
      _SETTINGS[setting]('{} {}: {}'.format(name, number, setting), phase[setting])
  if len(value) == 1 and set(value[0]) == {'share'}:
    return ()
  return tuple(dict(phase) for phase in value)


def ends(name, phases, steps, multiple):
  """The steps at which phases end, a list of ints, the last one `steps`.

  Args:
    name: of the option, for errors.
    phases: what checked() gave. steps: int, of the run.
    multiple: int, of which every end is a multiple, as `steps` is: the updates of a loop that the host cannot stop.

  Raises:
    UserError: the share of one is less than that many steps.
  """
  total, passed, all_ends = sum(phase['share'] for phase in phases), 0.0, []
  for number, phase in enumerate(phases, 1):
    passed += phase['share']
    end = steps if number == len(phases) else int(round(passed / total * steps / multiple)) * multiple
    if end <= (all_ends[-1] if all_ends else 0):
      raise UserError('{} {}: expected a share of at least {} of the {:,} steps, found {:g} of {:g}; make it larger or '
                      'leave the phase out'.format(name, number, multiple, steps, phase['share'], total))
    all_ends.append(end)
  return all_ends


def at(phases, step):
  """The Phase that makes the update from `step`; the last one at the end of a run. phases: tuple of Phase."""
  return next((phase for phase in phases if step < phase.end), phases[-1])


def with_phases(plan, make_task, open_data, computed):
  """The plan of a run with its phases, and their settings beside its own.

  Args:
    plan: planning.Plan, of which all but the phases is decided.
    make_task: as for planning.decide.
    open_data: callable(path, notes) -> contract.DatasetInfo that goes with the architecture; adds to the notes.
    computed: callable(plan, prefix) -> Plan with micro-batches, cores and settings; prefix is that of the names under
      which the run so far has recorded them.

  Raises:
    UserError: a phase that does not go with the run.
  """
  options = plan.options
  # A performance run measures steps of all layers.
  described = options.phases if plan.where.do_train and not options.performance else ()
  if not described:
    return plan._replace(settings=dict(plan.settings, phases=1),
                         phases=(Phase(1, 1, 0, options.num_train_steps, plan),))
  name, firsts, phases = options.named('phases'), [0], []
  settings, chosen_again, notes = dict(plan.settings, phases=len(described)), plan.chosen_again, []
  multiple = npu_session.Device(plan.session_options, plan.placement).steps_per_loop
  for number, end in enumerate(ends(name, described, options.num_train_steps, multiple), 1):
    with _named('{} {}'.format(name, number)):
      own = computed(_derived(plan, number, make_task, open_data), _prefix(number))
    notes += [(level, '{} {}: {}'.format(name, number, note)) for level, note in own.notes]
    settings.update((_prefix(number) + setting, value) for setting, value in _settings(own, described[number - 1]))
    chosen_again += tuple(_prefix(number) + setting for setting in own.chosen_again)
    phases.append(Phase(number, len(described), firsts[-1], end, own))
    firsts.append(end)
  if phases[-1].plan.config != plan.config:
    raise UserError('{}: expected all {} layers in the last phase, which the evaluations have, found {}; leave its '
                    'num_hidden_layers out'.format(name, plan.config.num_hidden_layers,
                                                   phases[-1].plan.config.num_hidden_layers))
  return plan._replace(settings=settings, chosen_again=chosen_again, phases=tuple(phases), notes=plan.notes + notes)


@contextlib.contextmanager
def _named(name):
  """Begins what is wrong with a phase with its name, a str."""
  try:
    yield
  except UserError as error:
    raise UserError('{}: {}'.format(name, error))


def _settings(plan, described):
  """[(name, value)] of what a run records of a phase. plan: that of the phase. described: dict of its settings."""
  known = dict(plan.settings, share=described['share'], num_hidden_layers=plan.config.num_hidden_layers)
  known.update((setting, plan.info.settings.get(setting)) for setting in contract.READ_OTHERWISE)
  return [(setting, known[setting]) for setting in _RECORDED + cores.Cores._fields if setting in known]


def _derived(plan, number, make_task, open_data):
  """The Plan of a phase, without how it is computed; its notes are those about the phase.

  Args:
    plan: that of the run. number: of the phase, from 1.
    make_task, open_data: as for with_phases.
  """
  described, options = plan.options.phases[number - 1], plan.options
  info, notes = _data(plan, described, open_data)
  config = _with_layers(plan.config, described.get('num_hidden_layers', plan.config.num_hidden_layers))
  own = dataclasses.replace(
      options, phases=(), train_batch_size=described.get('train_batch_size', options.train_batch_size),
      micro_batch_size=described.get('micro_batch_size', options.micro_batch_size),
      allow_changes=[setting[len(_prefix(number)):] for setting in options.allow_changes
                     if setting.startswith(_prefix(number))])
  input_options = dataclasses.replace(
      plan.input_options, packing=described.get('packing', plan.input_options.packing))
  return plan._replace(options=own, info=info, config=config, task=make_task(config, info),
                       input_options=input_options, chosen_again=(), notes=notes + _notes(plan, info))


def _with_layers(config, layers):
  """The AlbertConfig with another number of layers.

  Raises:
    UserError: there are too few for its groups, or more than the run has.
  """
  if not config.num_hidden_groups <= layers <= config.num_hidden_layers:
    raise UserError('num_hidden_layers: expected {} (AlbertConfig.num_hidden_groups) to {} '
                    '(AlbertConfig.num_hidden_layers), found {}; correct it'.format(
                        config.num_hidden_groups, config.num_hidden_layers, layers))
  return dataclasses.replace(config, num_hidden_layers=layers)


def _notes(plan, info):
  """[(level, line)] about the data of a phase, contract.DatasetInfo: is it free of the documents of the evaluation?"""
  heldout = plan.heldout
  if heldout is not plan.info or not info.settings or not heldout.settings:  # bare files do not say
    return []
  if _held_out_by(info) == _held_out_by(heldout):
    return []
  return [(logging.WARNING, '{} was not made of the text of {}, or with another seed, so that it holds other documents '
           'out: the evaluation may read documents that this phase trains on; make both of the same text with one '
           '--random_seed'.format(info.folder, heldout.folder))]


def _held_out_by(info):
  """The settings that decide which documents are held out of a data set."""
  texts = sorted(entry.get('sha256', entry.get('file', '')) for entry in info.settings.get('inputs', ()))
  return texts, [info.settings.get(name) for name in _HOLD_OUT]


def _data(plan, described, open_data):
  """(contract.DatasetInfo of a phase's training data, notes). described: dict of settings; the rest as for _derived."""
  info, notes = plan.info, []
  if 'data' in described:
    info = open_data(data_path(described['data'], plan.where.input_file), notes).with_vocab_size(
        plan.config.vocab_size)
    digests = {info.vocab_sha256, plan.info.vocab_sha256} - {None}  # bare files do not say
    if info.vocab_size != plan.info.vocab_size or len(digests) > 1:
      raise UserError('expected the vocabulary of {} in {}, found another; make both with one vocabulary'.format(
          plan.info.folder, info.folder))
  otherwise = {setting: value for setting, value in described.items() if setting in contract.READ_OTHERWISE}
  return info.read_otherwise(otherwise) if otherwise else info, notes


def _prefix(number):
  """The prefix of a phase's settings among those that a run records. number: from 1."""
  return 'phase_{}.'.format(number)


def data_path(data, input_file):
  """Path of a phase's data set: beside that of the run, unless it is a path itself."""
  data = os.path.normpath(data)  # "short/" is no path, but a name that a shell has completed
  return data if os.path.dirname(data) else os.path.join(os.path.dirname(os.path.normpath(input_file)), data)


def work(phase):
  """int, what a step of a phase takes, to compare it with others of the run: its tokens in all of its layers."""
  return phase.plan.rows_per_step * phase.plan.info.max_seq_length * phase.plan.config.num_hidden_layers


def log(phase):
  """Logs in one line what a phase is; nothing of the only one of a run."""
  if phase.count == 1:
    return
  plan = phase.plan
  words = ['{} layers'.format(plan.config.num_hidden_layers), 'batch {}'.format(plan.options.train_batch_size),
           'S={}'.format(plan.info.max_seq_length), 'data ' + plan.info.folder]
  words += ['packed'] if plan.input_options.packing else []
  words += ['{}={:g}'.format(setting, plan.info.settings[setting]) for setting in contract.READ_OTHERWISE
            if setting in plan.info.settings]
  _LOG.info('phase %d of %d, to step %s: %s', phase.number, phase.count, '{:,}'.format(phase.end), ', '.join(words))
