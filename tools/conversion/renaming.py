"""Other names for the variables of a checkpoint, such as a fork's."""

import collections
import re

from albert.common.errors import first_of
from albert.common.errors import UserError
from albert.model import names


def read_map(path):
  """[(pattern, new name)] of a file with 'OLD NEW' on each line; '#' begins a comment.

  OLD is a regular expression of a whole name, so that a plain name stands for itself; NEW may refer to its groups as
  \\1, \\2. Raises UserError for another form.
  """
  try:
    with open(path, encoding='utf-8') as source:
      lines = [(number, line.split('#')[0].split()) for number, line in enumerate(source, 1)]
  except (OSError, UnicodeDecodeError) as error:
    raise UserError('{}: expected a file of names in UTF-8, found: {}'.format(path, error))
  rules = []
  for number, words in lines:
    if not words:
      continue
    try:
      rules.append((re.compile(words[0]), words[1]))
      if len(words) != 2:
        raise IndexError('{} words'.format(len(words)))
    except (IndexError, re.error) as error:
      raise UserError('{}:{}: expected "OLD NEW", the first a regular expression, found {} ({}); correct the '
                      'line'.format(path, number, ' '.join(words), error))
  return rules


def renamed(checkpoint, rules):
  """({new name: array} of all variables of a Checkpoint, [(old, new)]); slots follow their weight.

  Raises:
    UserError: a rule that no variable has, or two variables of one new name.
  """
  new_names = _new_names(checkpoint.shapes, rules)
  by_new = collections.defaultdict(list)
  for old, new in new_names.items():
    by_new[new].append(old)
  twice = sorted('{} for {}'.format(new, ' and '.join(old)) for new, old in by_new.items() if len(old) > 1)
  if twice:
    raise UserError('{}: expected one variable for each new name, found {} names given twice: {}; change the '
                    'map'.format(checkpoint.path, len(twice), first_of(twice)))
  changed = [(old, new) for old, new in new_names.items() if old != new]
  return collections.OrderedDict((new, checkpoint.tensor(old)) for old, new in sorted(new_names.items())), changed


def _new_names(all_names, rules):
  used, new_names = set(), {}
  for name in all_names:
    weight, _, slot = name.rpartition('/')
    is_slot = names.belongs_to_optimizer(name, all_names) and weight in all_names
    new = _new_name(weight if is_slot else name, rules, used)
    new_names[name] = '{}/{}'.format(new, slot) if is_slot else new
  unused = [pattern.pattern for number, (pattern, _) in enumerate(rules) if number not in used]
  if unused:
    raise UserError('expected old names that the checkpoint has, found {} that it has not: {}; see inspect'.format(
        len(unused), first_of(unused)))
  return new_names


def _new_name(name, rules, used):
  for number, (pattern, new) in enumerate(rules):
    match = pattern.fullmatch(name)
    if match:
      used.add(number)
      return match.expand(new)
  return name
