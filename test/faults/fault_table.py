"""The table that fault tests print at the end: @pytest.mark.fault(name) makes a test one try of a fault."""

import collections

HEAD = ('fault', 'tries', 'survived', 'records lost', 'steps lost')
NOTE = ('A fault is survived if the run ends as one without it does, bit for bit, or stops as it should. records lost: '
        'in all. steps lost: the most that one try had to make again, with a checkpoint every 4 steps.')


def lines(reports):
  """The table as a list of lines, empty if no test was a fault.

  Args:
    reports: of pytest: one that passed for each test that did; a test that failed has one of any phase.
  """
  rows = collections.OrderedDict()
  for report in reports:
    properties = getattr(report, 'user_properties', [])
    lost = [value for name, value in properties if name == 'lost']
    for name in [value for name, value in properties if name == 'fault']:
      tries = rows.setdefault(name, {})
      tries[report.nodeid] = report.passed and tries.get(report.nodeid, (True,))[0], lost
  if not rows:
    return []
  table = [HEAD] + [_row(name, list(tries.values())) for name, tries in sorted(rows.items())]
  table.append(_row('all', [one for tries in rows.values() for one in tries.values()]))
  widths = [max(map(len, column)) for column in zip(*table)]
  return [''] + ['  '.join(word.ljust(width) for word, width in zip(row, widths)).rstrip() for row in table] + [NOTE]


def _row(name, tries):
  lost = [pair for _, pairs in tries for pair in pairs]
  return (name, str(len(tries)), str(sum(survived for survived, _ in tries)),
          str(sum(records for records, _ in lost)), str(max((steps for _, steps in lost), default=0)))
