"""What Hugging Face's transformers makes of folders, as a program for a Python that has it:

    HF_PYTHON test/tools/conversion/hugging_face/transformers_side.py FOLDER

FOLDER holds one folder for each class, batch.npz, lines.json (texts to tokenize) and text.txt (a text with [MASK]).
Written there: outputs-<class>.npz, said.json, and saved/, zip/ and older/: folders that transformers and torch saved.
"""

import contextlib
import io
import json
import os
import re
import sys

import numpy as np
import torch
import transformers

OUTPUTS = ('logits', 'prediction_logits', 'sop_logits', 'start_logits', 'end_logits', 'last_hidden_state',
           'pooler_output')


def outputs_of(model, batch):
  """{name: array} of a model for a batch of arrays."""
  with torch.no_grad():
    found = model(input_ids=torch.tensor(batch['input_ids']), token_type_ids=torch.tensor(batch['segment_ids']),
                  attention_mask=torch.tensor(batch['input_mask']))
  return {name: found[name].numpy() for name in OUTPUTS if name in found}


def load(root, kind, batch, said):
  """Loads the folder of a class and writes its outputs. Returns the model."""
  model, info = getattr(transformers, kind).from_pretrained(os.path.join(root, kind), output_loading_info=True)
  said[kind] = {key: sorted(map(str, value)) for key, value in info.items()}
  said[kind]['labels'] = model.config.to_dict()['id2label']
  np.savez(os.path.join(root, 'outputs-{}.npz'.format(kind)), **outputs_of(model.eval(), batch))
  return model


def usage_of(folder):
  """What the program in a folder's README.md prints."""
  with open(os.path.join(folder, 'README.md'), encoding='utf-8') as source:
    program = re.search('```python\n(.*?)```', source.read(), re.DOTALL).group(1)
  os.chdir(folder)
  printed = io.StringIO()
  with contextlib.redirect_stdout(printed):
    exec(program, {})
  return printed.getvalue()


def main(root):
  root = os.path.abspath(root)
  batch = dict(np.load(os.path.join(root, 'batch.npz')))
  said = {'version': transformers.__version__}
  kinds = sorted(name for name in os.listdir(root) if name.startswith('Albert'))
  models = {kind: load(root, kind, batch, said) for kind in kinds}
  pretraining = os.path.join(root, 'AlbertForPreTraining')
  tokenizer = transformers.AutoTokenizer.from_pretrained(pretraining)
  with open(os.path.join(root, 'lines.json'), encoding='utf-8') as source:
    said['ids'] = [tokenizer(line, add_special_tokens=False)['input_ids'] for line in json.load(source)]
  said['special'] = [tokenizer.pad_token_id, tokenizer.unk_token_id, tokenizer.cls_token_id, tokenizer.sep_token_id,
                     tokenizer.mask_token_id]
  with open(os.path.join(root, 'text.txt'), encoding='utf-8') as source:
    said['filled'] = [(found['token'], found['score'])
                      for found in transformers.pipeline('fill-mask', model=pretraining)(source.read())]
  said['usage'] = {kind: usage_of(os.path.join(root, kind)) for kind in kinds}
  for name in ('saved', 'zip', 'older'):
    models['AlbertForPreTraining'].save_pretrained(os.path.join(root, name))
    tokenizer.save_pretrained(os.path.join(root, name))
  for name in ('zip', 'older'):
    os.remove(os.path.join(root, name, 'model.safetensors'))
    torch.save(models['AlbertForPreTraining'].state_dict(), os.path.join(root, name, 'pytorch_model.bin'),
               _use_new_zipfile_serialization=name == 'zip')
  with open(os.path.join(root, 'said.json'), 'w', encoding='utf-8') as target:
    json.dump(said, target)


if __name__ == '__main__':
  main(sys.argv[1])
