"""What tools.checkpoints says of checkpoints, for a person and as JSON."""

import json
import math

from tools.conversion.reading import SLOTS_PART


def print_inspection(summary):
  """summary: what checkpoints.inspect() gives."""
  print(summary['checkpoint'])
  print('family       {}'.format(summary['family']))
  print('             because {}'.format(summary['family_reason']))
  print('parts        {}'.format(', '.join(summary['model_parts']) or 'none'))
  print('global step  {}'.format('none' if summary['global_step'] is None else summary['global_step']))
  bad = ['{} ({})'.format(v['name'], v['non_finite']) for v in summary['variables'] if v['non_finite']]
  print('non-finite   {}'.format(', '.join(bad) if bad else 'none'))
  for entry in summary['beside']:
    print('{:<12} {}'.format('beside it', entry['path'] or 'no {}'.format(entry['name'])))
    for problem in entry['problems']:
      print('             does not fit: {}'.format(problem))
  print('\n{:<28} {:>9} {:>13}'.format('part', 'variables', 'parameters'))
  for part, count in summary['parts'].items():
    print('{:<28} {:>9} {:>13,}'.format(part, count['variables'], count['parameters']))
  print('{:<28} {:>9} {:>13,}\n'.format('model (without optimizer)', '', summary['parameters']))
  weights = [v for v in summary['variables'] if v['part'] != SLOTS_PART]
  width = max([len(v['name']) for v in weights] or [0])
  for variable in weights:
    print('{:<{}}  {} {}{}'.format(variable['name'], width, variable['dtype'], variable['shape'],
                                   '' if variable['norm'] is None else '  norm {:.6g}'.format(variable['norm'])))


def print_diff(result):
  """result: what checkpoints.diff() gives."""
  for label, path, step, kind in zip('AB', result['checkpoints'], result['global_steps'], result['families']):
    print('{}  {}  (step {}, {})'.format(label, path, 'none' if step is None else step, kind.split(':')[0]))
  for label, key in (('A', 'only_in_first'), ('B', 'only_in_second')):
    for name in result[key]:
      print('only in {}  {}'.format(label, name))
  for entry in result['other_form']:
    print('other form  {}: {} in A, {} in B'.format(entry['name'], entry['first'], entry['second']))
  if result['changed']:
    print('{:>12} {:>12} {:>9}  variable'.format('largest', 'relative', 'values'))
  for change in result['changed']:
    largest = '' if change['largest'] is None else '{:.3g}'.format(change['largest'])
    print('{:>12} {:>12.3g} {:>9}  {}'.format(largest, change['relative'], change['values'], change['name']))
  for entry in result.get('outputs', []):
    print('output {:<22} {}'.format(entry['name'], _difference(entry['largest'], entry['relative'])))
  print('identical' if result['identical'] else '{} variables are equal, {} have other values'.format(
      result['equal'], len(result['changed'])))


def _difference(largest, relative):
  """How outputs differ, in words. largest: None for another shape."""
  if largest is None:
    return 'of another shape'
  if not math.isfinite(largest):
    return 'not finite in one of them: its run has diverged'
  return 'differs by {:.3g}, relative {:.3g}'.format(largest, relative)


def print_written(report):
  """report: checkpoint, variables, left_out, global_step and copied of a checkpoint that was written."""
  print('wrote {checkpoint}: {variables} variables, {left_out} of the optimizer left out, '
        'global step {global_step}'.format(**report))
  if report.get('by'):
    print('chosen by    {}'.format(report['by']))
  if report['copied']:
    print('beside it    copies of {}'.format(', '.join(report['copied'])))


def print_renamed(report):
  """report: checkpoint, renamed, unchanged and copied of a checkpoint that was written."""
  for old, new in report['renamed']:
    print('{} -> {}'.format(old, new))
  print('wrote {}: {} variables renamed, {} unchanged'.format(
      report['checkpoint'], len(report['renamed']), report['unchanged']))


def print_conversion(report):
  """report: from, to, class, mapped, left_out and notes of a conversion."""
  width = max([len(old) for old, _ in report['mapped']] or [0])
  for old, new in report['mapped']:
    print('{:<{}}  {}'.format(old, width, new))
  for name, why in report['left_out']:
    print('left out     {}: {}'.format(name, why))
  for note in report['notes']:
    print('note         {}'.format(note))
  print('wrote {}: {} tensors ({})'.format(report['to'], len(report['mapped']), report['class'] or 'class not said'))


def print_verification(result):
  """result: what inspection.verify() gives, with the probe's problems and notes if it was made."""
  print(result['checkpoint'])
  for line in result['checked']:
    print('checked      {}'.format(line))
  for line in result.get('probe', {}).get('notes', []):
    print('note         {}'.format(line))
  for problem in result['problems']:
    print('PROBLEM      {}'.format(problem))
  print('problems: {}'.format(len(result['problems'])) if result['problems'] else 'good')


def as_json(value):
  """JSON text of plain values."""
  return json.dumps(_without_nan(value), indent=1, ensure_ascii=False)


def _without_nan(value):
  """JSON has no NaN or infinity: null instead."""
  if isinstance(value, dict):
    return {key: _without_nan(item) for key, item in value.items()}
  if isinstance(value, (list, tuple)):
    return [_without_nan(item) for item in value]
  return None if isinstance(value, float) and not math.isfinite(value) else value
