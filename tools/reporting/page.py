"""report.html: the order of its parts and how it looks. One file that loads nothing from elsewhere.

A task has its own figures, curves and samples, here a module with functions of these names; see TASKS. samples is
None where there are none.
"""

import time

from albert.labelled import options
from tools.reporting import labelled
from tools.reporting import pretraining
from tools.reporting import sections
from tools.reporting import words

# By the name of the task.
TASKS = dict({'pretraining': pretraining}, **dict.fromkeys(options.KINDS, labelled))

_STYLE = """
:root{--ink:#23272e;--soft:#6b7280;--line:#e6e8ec;--blue:#3b6ea8;--orange:#d2762b;--green:#2f8f5b;--paper:#fff}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);font:15px/1.6 system-ui,-apple-system,"Segoe UI",Roboto,
"Noto Sans","PingFang SC","Microsoft YaHei","Noto Sans CJK SC","WenQuanYi Micro Hei",sans-serif}
main{max-width:60rem;margin:0 auto;padding:2.5rem 1.5rem 4rem}
h1{font-size:1.7rem;font-weight:600;margin:0;overflow-wrap:anywhere}
h2{font-size:1.1rem;font-weight:600;margin:0 0 .8rem}
h3{font-size:.85rem;font-weight:600;margin:0 0 .3rem;color:var(--soft)}p{margin:.5rem 0;max-width:44rem}
section{margin-top:2.6rem}header p,small,.remark{color:var(--soft)}header p{margin:.2rem 0 0}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(11rem,1fr));gap:1.2rem;margin-bottom:1rem}
.tiles div{border-top:2px solid var(--ink);padding-top:.5rem}
.tiles b{display:block;font-size:1.6rem;font-weight:600;line-height:1.3}
.tiles span,.tiles small{display:block;line-height:1.4}
.charts{display:grid;grid-template-columns:repeat(auto-fill,minmax(26rem,1fr));gap:1.4rem 2rem}
@media(max-width:30rem){.charts{grid-template-columns:1fr}}
figure{margin:0;min-width:0}
figcaption{font-size:.85rem;display:flex;gap:.2rem .8rem;flex-wrap:wrap;align-items:baseline}
figcaption b{font-weight:600;margin-right:auto}figcaption span{color:var(--soft);font-size:.8rem;white-space:nowrap}
figcaption span::before{content:"";display:inline-block;width:1.1em;border-top:2px solid;margin-right:.4em;
vertical-align:middle}
figcaption .training::before{border-color:var(--blue)}figcaption .heldout::before{border-color:var(--orange)}
figcaption .level::before{border-color:var(--soft);border-top-style:dashed}
svg{width:100%;height:auto;display:block}svg text{font-size:11px;fill:var(--soft)}text.y{text-anchor:end}
text.x{text-anchor:middle}.grid{stroke:var(--line)}polyline{fill:none;stroke-width:1.6;stroke-linejoin:round}
polyline.training{stroke:var(--blue)}polyline.heldout{stroke:var(--orange)}circle.heldout{fill:var(--orange)}
circle.training{fill:var(--blue)}polyline.level{stroke:var(--soft);stroke-dasharray:4 4;stroke-width:1}
.sample{border-top:1px solid var(--line);padding:.7rem 0}.sample p{margin:.15rem 0;max-width:none}
.sample .text{font-size:1.05rem}
mark{background:none;padding:0 .1em;border-bottom:2px solid var(--orange)}mark.hit{border-color:var(--green)}
.guess{display:flex;gap:.4rem;align-items:baseline;flex-wrap:wrap;font-size:.9rem}
.guess>b{min-width:3.2em;font-weight:600}
.chip{position:relative;padding:0 .5em;border:1px solid var(--line);border-radius:.3em;overflow:hidden}
.chip small{margin-left:.5em;position:relative}
.chip i{position:absolute;left:0;bottom:0;height:3px;background:var(--blue);opacity:.5}
.chip.right{border-color:var(--green)}.chip.right i{background:var(--green);opacity:1}
table{border-collapse:collapse;font-size:.9rem}th,td{text-align:left;font-weight:400;padding:.2rem 0;vertical-align:top;
border-bottom:1px solid var(--line)}th{color:var(--soft);padding-right:1.6rem}td{overflow-wrap:anywhere;
font-variant-numeric:tabular-nums}
.columns{display:grid;grid-template-columns:repeat(auto-fit,minmax(20rem,1fr));gap:1.5rem 3rem}
.columns table{width:100%}
.columns td{text-align:right}ul{padding-left:1.2rem;margin:.6rem 0;max-width:44rem}.hints{color:var(--soft)}
details{margin-top:1rem}summary{cursor:pointer;color:var(--blue)}
pre{font:.8rem/1.5 ui-monospace,Menlo,Consolas,monospace;white-space:pre-wrap;overflow-wrap:anywhere;color:var(--soft);
border-left:2px solid var(--line);padding-left:1rem;margin:.8rem 0}
@media print{main{padding:0}section,figure,.sample{break-inside:avoid}}
"""


def make(run, guesses, problem):
  """The report as HTML: str.

  Args:
    run: material.Material.
    guesses: list of heldout.Guessed, may be empty. problem: why there are none, in words, or None.
  """
  task = TASKS.get(run.task)
  parts = [words.section('What it has learned', task.figures(run) if task else '')]
  if task and task.samples:
    parts.append(words.section('What it puts under a mask', _samples(task, guesses, problem)))
  charts = (task.curves(run) if task else '') + sections.speed(run)
  parts += [words.section('Curves, by step', words.paragraphs(sections.speed_in_words(run)) + (
      '<div class="charts">{}</div>'.format(charts) if charts else '<p>No step was logged so far.</p>')),
            words.section('Data', sections.data(run)), words.section('Settings', sections.settings(run)),
            words.section('Skipped, lost and changed', sections.losses(run)),
            words.section('Origin', sections.origin(run))]
  return '\n'.join([
      '<!DOCTYPE html>', '<html lang="en"><head><meta charset="utf-8"><meta name="viewport" '
      'content="width=device-width,initial-scale=1"><title>{}</title>'.format(words.escape(run.name)),
      '<style>{}</style></head><body><main>'.format(_STYLE.strip()),
      '<header><h1>{}</h1><p>{} {}</p></header>'.format(
          words.escape(run.name), words.escape(sections.status(run)),
          time.strftime('Report of %Y-%m-%d %H:%M.'))] + parts + ['</main></body></html>', ''])


def _samples(task, guesses, problem):
  if not guesses:
    return words.paragraphs([problem or 'No sentence was found that is short enough.'])
  return ('<p class="remark">Sentences that training never saw. What is underlined was masked; below stands what the '
          'model takes to be there, with its probability, the right token in green.</p>' + task.samples(guesses))
