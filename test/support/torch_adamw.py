"""What torch.optim.AdamW makes of weights, as a program for a Python that has torch:

    HF_PYTHON test/support/torch_adamw.py FOLDER

FOLDER holds weights.npz, gradients-<step>.npz from 1, and settings.json: rates (of each step), weight_decay_rate,
without_decay and rate_multipliers (by name). Written there: torch.npz, the weights after all steps.
"""

import json
import os
import sys

import numpy as np
import torch


def main(folder):
  """Carries out the steps."""
  with open(os.path.join(folder, 'settings.json')) as source:
    settings = json.load(source)
  with np.load(os.path.join(folder, 'weights.npz')) as loaded:
    weights = {name: torch.tensor(loaded[name], requires_grad=True) for name in loaded}
  groups = [{'params': [tensor], 'name': name,
             'weight_decay': 0.0 if name in settings['without_decay'] else settings['weight_decay_rate']}
            for name, tensor in weights.items()]
  optimizer = torch.optim.AdamW(groups, lr=1.0, betas=(0.9, 0.999), eps=1e-6)
  for step, rate in enumerate(settings['rates'], 1):
    for group in optimizer.param_groups:
      group['lr'] = rate * settings['rate_multipliers'].get(group['name'], 1.0)
    with np.load(os.path.join(folder, 'gradients-{}.npz'.format(step))) as gradients:
      for name, tensor in weights.items():
        tensor.grad = torch.tensor(gradients[name])
    optimizer.step()
  np.savez(os.path.join(folder, 'torch.npz'), **{name: tensor.detach().numpy() for name, tensor in weights.items()})


if __name__ == '__main__':
  main(sys.argv[1])
