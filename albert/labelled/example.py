"""One labelled text, as its file has it."""

import collections

Example = collections.namedtuple('Example', ['number', 'id', 'file', 'line', 'text_a', 'text_b', 'label'])
Example.__doc__ = """An example of a file.

number: from 0, in its split; id: as the file has it, a str or number, or None; file: path; line: from 1, where it
begins; text_a: str, of `read` the question; text_b: str, of `read` the context, or None.
label: None if the file has none, else
  classify: str, or a tuple of str if several classes are allowed
  regress: float
  tag: tuple of `Entity` in order, which do not overlap; as read_examples yields it without a scheme, `Tags` or that
  read: `Reading`
"""

BadLine = collections.namedtuple('BadLine', ['line', 'id', 'error'])
BadLine.__doc__ = """What could not be read as an example: line from 1, id if there is one, else None, error: str."""

# The error of a line without anything in it: no mistake in a labelled file.
EMPTY_LINE = 'expected an example, found an empty line'

Entity = collections.namedtuple('Entity', ['type', 'start', 'end', 'text'])
Entity.__doc__ = """An entity: its type, str; characters [start, end) of the raw text, which are `text`."""

Tags = collections.namedtuple('Tags', ['starts', 'ends', 'tags', 'lines'])
Tags.__doc__ = """The tags of a text, in a scheme that is not known yet.

starts, ends: characters of each unit; tags: list of str, one per unit; lines: list of int, where each stands.
"""

Reading = collections.namedtuple('Reading', ['answers', 'span', 'impossible', 'moved'])
Reading.__doc__ = """What is to be found in a context.

answers: tuple of str, all that are right, as the file has them; span: (start, end), characters of the context that are
one of them, or None where none could be found; impossible: whether the context does not answer the question; moved:
whether the answer is not where the file says.
"""
