"""What a vocabulary was built from, kept beside it: whoever uses it with other text is told."""

import collections
import json

from albert.common import files

# Follows the name of the vocabulary.
SUFFIX = '.source.json'


def settings_of(text, do_lower_case):
  """The settings that a vocabulary depends on: dict. text: `source.Source`."""
  return collections.OrderedDict(
      [('do_lower_case', do_lower_case), ('encoding', text.encoding)] + [
          (name, getattr(text.cleaning, name)) for name in (
              'text_field', 'normalization', 'drop_control_characters', 'min_characters', 'min_han_share')])


def write(vocab_file, inputs, settings):
  """Writes down what a vocabulary was built from.

  Args:
    vocab_file: its path.
    inputs: `tools.preprocessing.inputs.describe` of the text.
    settings: of `settings_of`.
  """
  described = collections.OrderedDict([('vocab_sha256', files.file_sha256(vocab_file)), ('settings', settings),
                                       ('inputs', inputs)])
  with files.atomic(vocab_file + SUFFIX) as target:
    json.dump(described, target, indent=1)
    target.write('\n')


def difference(vocab_file, vocab_sha256, inputs, settings):
  """Why a vocabulary is not the one that would be built of this text: str; None if it is, or nothing is known.

  vocab_sha256: of the vocabulary; the others as in `write`.
  """
  try:
    with open(vocab_file + SUFFIX, encoding='utf-8') as source:
      known = json.load(source)
    if known['vocab_sha256'] != vocab_sha256:
      return None  # somebody else's, put in its place
    # Files of earlier versions do not say everything.
    changed = ['{} {!r} instead of {!r}'.format(name, known['settings'][name], value)
               for name, value in settings.items() if known['settings'].get(name, value) != value]
    hashes = [[entry['sha256'] for entry in entries] for entries in (known['inputs'], inputs)]
    names = [entry['file'] for entry in known['inputs']]
  except (OSError, ValueError, KeyError, TypeError, AttributeError):
    return None
  if sorted(hashes[0]) != sorted(hashes[1]):
    return 'from other text ({})'.format(', '.join(map(str, names[:3] + ['...'] * (len(names) > 3))))
  return 'with {}'.format('; '.join(changed)) if changed else None
