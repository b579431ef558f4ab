"""Figures of labelled text as lines to print."""

from albert.answers import report


def lines(title, judge):
  """The figures in a line, then its classes. judge: answers.outcome.Judge."""
  figures = judge.figures()
  if figures is None:
    return ['{}: no line has a label'.format(title)]
  return report.split_lines(title, figures, judge.labelled)
