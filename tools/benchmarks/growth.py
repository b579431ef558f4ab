"""How the time and memory of a training step grow with sequence length, batch and layers. For tools.benchmark."""

import collections
import json

from albert.device import memory
from albert.tasks import pretraining
from tools.benchmarks import step_times

_LAYERS = 'num_hidden_layers'


def shapes(shape, layers):
  """What is measured: OrderedDict, name of the field that changes -> Shapes in ascending order.

  Sequence length from a quarter of the shape's own, with as many predictions per token; batch and layers from a
  quarter to double. The others stay.

  Args:
    shape: step_times.Shape.
    layers: int, those of its model.
  """
  def scaled(number, factors):
    return sorted({max(1, int(number * factor)) for factor in factors})

  shape = shape._replace(num_hidden_layers=layers)
  density = shape.max_predictions_per_seq / shape.max_seq_length
  return collections.OrderedDict([
      ('max_seq_length', [shape._replace(max_seq_length=length, max_predictions_per_seq=max(1, int(density * length)))
                          for length in scaled(shape.max_seq_length, (0.25, 0.5, 1))]),
      ('batch_size', [shape._replace(batch_size=size) for size in scaled(shape.batch_size, (0.25, 0.5, 1, 2))]),
      (_LAYERS, [shape._replace(num_hidden_layers=number) for number in scaled(layers, (0.25, 0.5, 1, 2))])])


def run(shape, steps, as_json=False):
  """Measures one shape after the other, each once, and prints a table or JSON.

  Args:
    shape: step_times.Shape to start from.
    steps: int, steps that count for each.
    as_json: whether to print a list of objects instead.
  """
  layers = step_times.load_config(shape).num_hidden_layers
  measured, rows = {}, []
  if not as_json:
    print('{:<18} {:>5} {:>5} {:>4} {:>6}  {:>9}  {:>8}  {:>11}  {:>8}  {:>11}'.format(
        shape.model, 'B', 'S', 'P', 'layers', 's/step', 'tokens/s', 'MatMul peak', 'peak GB', 'estimate GB'))
  for changed, wanted in shapes(shape, layers).items():
    for current in wanted:
      if current not in measured:
        measured[current] = _measure(current, steps)
      rows.append(dict(measured[current], changed=changed))
      if not as_json:
        _print_row(changed, current, measured[current])
  if as_json:
    print(json.dumps(rows, indent=1))


def _measure(shape, steps):
  config = step_times.load_config(shape)
  figures = step_times.measure(shape, steps, {'library': step_times.random_batch(shape, config.vocab_size)})
  head_size = pretraining.head_size(config, shape.max_predictions_per_seq)
  estimate = memory.training_bytes(config, shape.batch_size, shape.max_seq_length, head_size)
  return dict(figures['library'], num_hidden_layers=shape.num_hidden_layers, estimated_bytes=estimate)


def _print_row(changed, shape, figures):
  print('{:<18} {:>5} {:>5} {:>4} {:>6}  {:>9.4f}  {:>8,.0f}  {:>11.0%}  {:>8.2f}  {:>11.2f}'.format(
      changed, shape.batch_size, shape.max_seq_length, shape.max_predictions_per_seq, shape.num_hidden_layers,
      figures['seconds_per_step'], figures['tokens_per_second'], figures['share_of_matmul_peak'],
      figures['peak_rss_bytes'] / 1e9, figures['estimated_bytes'] / 1e9), flush=True)
