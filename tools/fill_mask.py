"""Fill-mask: which tokens a pre-trained model puts where a text says [MASK].

    python -m tools.fill_mask --init=out --text='中国的首都是[MASK]京'
    python -m tools.fill_mask --init=out --text='中国的首都是[MASK]京' --candidates=北,南
    python -m tools.fill_mask --init=out --input_file=texts.txt --json
    python -m tools.fill_mask --init=out --heldout=data/records

A text may have several masks. --input_file has a text in each line; - is the standard input, of which each line is
answered at once. A line that cannot be answered says why, and the exit code is 1 at the end. --heldout takes sentences
of a data set that training never saw. Probabilities are among the whole vocabulary, also with --candidates.
"""

import logging
import sys

from absl import flags

from albert.common import cli  # before TensorFlow: silences the warnings of its import
from albert.common.errors import UserError
from albert.common import gin_settings
from albert.common import json_text
from albert.dataset import contract
from albert import npu_session
from albert import prediction
from albert.tasks.pretraining import Pretraining
from tools.prediction import heldout
from tools.prediction import lines
from tools.prediction import masked

FLAGS = flags.FLAGS


def define_flags():
  """Not at import: two programs may be imported into one test."""
  flags.DEFINE_string('init', None, 'The model: folder of a run, best/, prefix of a checkpoint or unpacked release.')
  flags.DEFINE_string('text', None, 'A text with [MASK] in it.')
  flags.DEFINE_string('input_file', None, 'Texts, one in each line; - is the standard input.')
  flags.DEFINE_string('heldout', None, 'A data set, of whose held-out sentences --num_examples are tried.')
  flags.DEFINE_integer('num_examples', 3, '--heldout: how many sentences.', lower_bound=1)
  flags.DEFINE_integer('top', 5, 'How many tokens of each mask.', lower_bound=1)
  flags.DEFINE_list('candidates', None, 'The only tokens to choose from, separated by commas.')
  flags.DEFINE_bool('json', False, 'A JSON object for each text.')
  flags.DEFINE_multi_string('gin_param', None, 'Bindings such as "SessionOptions.device=\'cpu\'", separated by ";".')


def main(argv):
  """Loads the model once, answers every text."""
  cli.no_positional_arguments(argv)
  given = [name for name in ('text', 'input_file', 'heldout') if getattr(FLAGS, name)]
  if len(given) != 1:
    raise UserError('expected a text or a file (TEXT=..., INPUT=...; --text, --input_file or --heldout), found {}; '
                    'give one of them'.format(' and '.join('--' + name for name in given) or 'none'))
  if not FLAGS.init:
    raise UserError('expected --init=RUN (INIT=...), the folder of a run or a checkpoint, found none; name one')
  gin_settings.parse([], gin_settings.bindings_of(FLAGS.gin_param))
  model = prediction.find(FLAGS.init)
  candidates = masked.candidate_ids(FLAGS.candidates, model) if FLAGS.candidates else None
  # Before the model is loaded: what is wrong with it is known already.
  queries = [masked.parse(FLAGS.text, model, 'TEXT')] if FLAGS.text else None
  logging.getLogger('albert').setLevel(logging.WARNING)  # the answers are what is to be read
  with prediction.Predictor(Pretraining(model.config), 'masked_lm', model, npu_session.start()) as predictor:
    if FLAGS.heldout:
      return _print_heldout(predictor, model)
    rows = ((query, query.fields) for query in queries) if queries else _rows(FLAGS.input_file, model)
    return _print_answers(predictor.answers(rows, lambda query, answer: _answered(
        query, answer, model.vocabulary, candidates), is_prompt=FLAGS.input_file == lines.STANDARD_INPUT))


def _print_heldout(predictor, model):
  if not FLAGS.json:
    print('held-out sentences; what is in 【】 was masked, then what the model takes to be there:')
  for sentence in heldout.guesses(predictor, model, contract.DatasetInfo.load(FLAGS.heldout), FLAGS.num_examples):
    print(_line(sentence._asdict()) if FLAGS.json else heldout.describe(sentence))


def _rows(path, model):
  """Yields (Query or what is wrong, fields or None) of each line."""
  for text in lines.read(path):
    try:
      query = masked.parse(text, model, 'this text')
      yield query, query.fields
    except UserError as error:
      yield str(error), None


def _answered(query, answer, vocabulary, candidates):
  """(text, masked.Answer), or (None, what is wrong)."""
  if answer is None:
    return None, query
  return query, masked.answer(query, answer['logits'], vocabulary, FLAGS.top, candidates)


def _print_answers(answers):
  """Prints (Query, Answer) pairs, or what is wrong; the exit code."""
  wrong, number = 0, 0
  for number, (query, answer) in enumerate(answers, 1):
    wrong += query is None
    print(_as_json(number, query, answer) if FLAGS.json else _as_text(number, query, answer), flush=True)
  if wrong:
    raise UserError('expected an answer to each of {:,} texts, found {:,} without one; correct them'.format(
        number, wrong))


def _as_json(number, query, answer):
  if query is None:
    return _line({'line': number, 'error': answer})
  return _line({
      'line': number, 'text': query.text, 'filled': answer.filled, 'masks': [
          {'start': start, 'answers': [{'token': token, 'probability': round(chance, 6)} for token, chance in choices]}
          for start, choices in zip(query.starts, answer.masks)]})


def _line(value):
  return json_text.line(value, sys.stdout.encoding)


def _as_text(number, query, answer):
  if query is None:
    return 'line {}: {}'.format(number, answer)
  return '\n'.join([answer.filled] + ['  {}{}'.format('mask {}: '.format(place) * (len(answer.masks) > 1), '  '.join(
      '{} {}'.format(token, masked.percent(chance)) for token, chance in choices))
                                      for place, choices in enumerate(answer.masks, 1)])


if __name__ == '__main__':
  define_flags()
  cli.run(main, prints_result=True)
