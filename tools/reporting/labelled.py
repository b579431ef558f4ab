"""What a report says of fine-tuning: figures on dev and test, classes, curves. report.md has the mistakes."""

from tools.reporting import charts
from tools.reporting import words

_SPLITS = ('dev', 'test')
# Of a split in results.json, what is no figure.
_COUNTS = ('examples', 'labelled')

# Answers to sentences stand in report.md.
samples = None


def figures(run):
  """Figures of the best checkpoint as HTML. run: material.Material."""
  scored = {split: run.results[split] for split in _SPLITS if _numbers(run.results.get(split))}
  told = [run.results['not_learned']] if isinstance(run.results.get('not_learned'), str) else []
  if not scored:
    best = _numbers(run.best)
    if not best:
      return words.paragraphs(told + ['Not evaluated so far: figures on dev come with each checkpoint.'])
    scored = {'dev': dict(run.best)}
  tiles = [(_shown(value), '{}, {}'.format(name.replace('_', ' '), split), _remark(scored[split]))
           for split in scored for name, value in _numbers(scored[split])]
  told.append('Figures of the checkpoint that is the best on dev. report.md, beside this, has confusions and mistakes.')
  return words.tiles(tiles) + words.paragraphs(told) + '<div class="columns">{}</div>'.format(
      ''.join(_classes(split, scored[split]) for split in scored))


def _numbers(values):
  """[(name, value)] of the figures of a split, the counts left out."""
  if not isinstance(values, dict):
    return []
  return [(name, value) for name, value in values.items()
          if isinstance(value, float) and name not in _COUNTS]


def _shown(value):
  return '{:.4f}'.format(value)


def _remark(values):
  return '{:,} examples'.format(values['labelled']) if isinstance(values.get('labelled'), int) else ''


def _classes(split, values):
  """The F1 of each class as a table; empty where there are no classes."""
  classes = values.get('classes')
  if not isinstance(classes, dict):
    return ''
  rows = [(name, _shown(entry['f1'])) for name, entry in classes.items()
          if isinstance(entry, dict) and isinstance(entry.get('f1'), float)]
  return '<div lang="zh-CN"><h3>F1 of each class, {}</h3>{}</div>'.format(split, words.table(rows)) if rows else ''


def curves(run):
  """Charts as HTML. run: material.Material."""
  names = list(run.heldout) or ['loss']
  return ''.join(charts.chart(name.replace('_', ' ').capitalize(), [
      charts.Curve('training', run.curves.get('{}/{}'.format(run.task, 'total_loss' if name == 'loss' else name), []),
                   charts.TRAINING),
      charts.Curve('dev', run.heldout.get(name, []), charts.HELDOUT)]) for name in names)
