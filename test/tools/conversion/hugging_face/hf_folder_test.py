"""Folders of transformers, without it: what is in them, the way back, and what is refused before a file is written."""

import json
import os
import shutil
import struct

import numpy as np
import pytest

from albert.common.errors import UserError
from albert.dataset.tokenization import Vocabulary
from albert.model.config import AlbertConfig
from albert.model import names
from albert.run import checkpoints
import random_models
from tools.conversion.hugging_face import folder
from tools.conversion.hugging_face import tokenizer_files
from tools.conversion import inspection
from tools.conversion.reading import Checkpoint

CONFIG = random_models.config()
WEIGHTS = random_models.weights(CONFIG)


def read_safetensors(path):
  """({name: array}, metadata): 8 bytes of length, JSON, bytes."""
  with open(str(path), 'rb') as source:
    header = json.loads(source.read(struct.unpack('<Q', source.read(8))[0]).decode())
    data = source.read()
  metadata = header.pop('__metadata__', None)
  return {name: np.frombuffer(data[slice(*entry['data_offsets'])], {'F32': '<f4'}[entry['dtype']]).reshape(
      entry['shape']) for name, entry in header.items()}, metadata


def write_safetensors(path, tensors):
  """tensors: {name: (type, array)}, the array of the bytes that are to be written."""
  header, data = {}, b''
  for name, (kind, array) in tensors.items():
    header[name] = {'dtype': kind, 'shape': list(array.shape), 'data_offsets': [len(data), len(data) + array.nbytes]}
    data += array.tobytes()
  text = json.dumps(header).encode()
  with open(str(path), 'wb') as target:
    target.write(struct.pack('<Q', len(text)) + text + data)


@pytest.fixture(scope='module')
def run(tmp_path_factory):
  """The folder of a run, with an optimizer's slots."""
  path = tmp_path_factory.mktemp('run')
  random_models.save(path, CONFIG, WEIGHTS, slots=True)
  return str(path)


@pytest.fixture(scope='module')
def theirs(run, tmp_path_factory):
  """A folder made of it."""
  path = str(tmp_path_factory.mktemp('theirs') / 'folder')
  folder.write(Checkpoint(run), path)
  return path


@pytest.fixture
def copy(theirs, tmp_path):
  """A copy of it to be changed."""
  path = tmp_path / 'copy'
  shutil.copytree(theirs, str(path))
  return path


def change_json(path, **changes):
  values = json.loads(path.read_text(encoding='utf-8'))
  values.update(changes)
  path.write_text(json.dumps({key: value for key, value in values.items() if value is not Ellipsis}), encoding='utf-8')


def assert_nothing_left(tmp_path, *but):
  assert sorted(os.listdir(str(tmp_path))) == sorted(but)


def test_the_folder(theirs):
  assert sorted(os.listdir(theirs)) == [
      'README.md', 'config.json', 'model.safetensors', 'special_tokens_map.json', 'tokenizer_config.json', 'vocab.txt']
  tensors, metadata = read_safetensors(os.path.join(theirs, 'model.safetensors'))
  assert metadata == {'format': 'pt'} and len(tensors) == 32
  np.testing.assert_array_equal(tensors['albert.pooler.weight'], WEIGHTS['bert/pooler/dense/kernel'].T)
  assert not [name for name in tensors if 'decoder' in name or 'adam' in name]


def test_config_json(theirs):
  with open(os.path.join(theirs, 'config.json')) as source:
    values = json.load(source)
  expected = dict(CONFIG.to_dict(), model_type='albert', architectures=['AlbertForPreTraining'], hidden_act='gelu_new',
                  layer_norm_eps=1e-12, classifier_dropout_prob=0.1, pad_token_id=0, bos_token_id=3, eos_token_id=4,
                  tie_word_embeddings=True, tokenizer_class='BertTokenizer')
  assert values == expected


def test_tokenizer_files(theirs):
  with open(os.path.join(theirs, 'tokenizer_config.json')) as source:
    values = json.load(source)
  tokens = dict(pad_token='[PAD]', unk_token='[UNK]', cls_token='[CLS]', sep_token='[SEP]', mask_token='[MASK]')
  assert values == dict(tokens, tokenizer_class='BertTokenizer', do_lower_case=True, tokenize_chinese_chars=True,
                        strip_accents=None, model_max_length=17)
  with open(os.path.join(theirs, 'special_tokens_map.json')) as source:
    assert json.load(source) == tokens
  assert Vocabulary.load(os.path.join(theirs, 'vocab.txt')).tokens == random_models.tokens(53)


def test_relu_and_a_line_separator_in_the_vocabulary(tmp_path):
  config = random_models.config(hidden_act='relu')
  random_models.save(tmp_path / 'run', config, WEIGHTS)
  tokens = random_models.tokens(53)
  tokens[9] = '\u2028'
  (tmp_path / 'run' / 'vocab.txt').write_text(''.join(token + '\n' for token in tokens), encoding='utf-8')
  folder.write(Checkpoint(str(tmp_path / 'run')), str(tmp_path / 'theirs'))
  folder.read(str(tmp_path / 'theirs'), str(tmp_path / 'back'))
  assert json.loads((tmp_path / 'theirs' / 'config.json').read_text())['hidden_act'] == 'relu'
  assert AlbertConfig.from_json_file(str(tmp_path / 'back' / 'albert_config.json')) == config
  assert Vocabulary.load(str(tmp_path / 'back' / 'vocab.txt')).tokens == tokens


def test_the_card_says_sizes_and_data_but_no_path(run, tmp_path):
  shutil.copytree(run, str(tmp_path / 'run'))
  (tmp_path / 'run' / 'command_line.txt').write_text(
      '2026-11-24 10:00:00 python x\n  data: /secret/records (700 training and 30 held-out records, vocabulary 12ab)\n')
  folder.write(Checkpoint(str(tmp_path / 'run')), str(tmp_path / 'theirs'))
  card = (tmp_path / 'theirs' / 'README.md').read_text(encoding='utf-8')
  assert '700 training and 30 held-out records' in card and '/secret' not in card
  assert '| hidden size, heads, feed-forward size | 21, 3, 34 |' in card


@pytest.mark.parametrize('width', [10, 21])
def test_the_card_tells_parameters_that_only_transformers_has(tmp_path, width):
  config = random_models.config(embedding_size=width)
  weights = random_models.weights(config)
  random_models.save(tmp_path / 'run', config, weights)
  folder.write(Checkpoint(str(tmp_path / 'run')), str(tmp_path / 'theirs'))
  own, identity = sum(value.size for value in weights.values()), (21 * 21 + 21) * (width == 21)
  said = 'AlbertForPreTraining of {:,} parameters'.format(own + identity)
  said += ' (462 of them an identity, ' if identity else ', converted'
  assert said in (tmp_path / 'theirs' / 'README.md').read_text(encoding='utf-8')


def test_back_is_a_run_folder_with_the_same_bits(theirs, tmp_path):
  report = folder.read(theirs, str(tmp_path / 'run'))
  assert sorted(os.listdir(str(tmp_path / 'run'))) == [
      'albert_config.json', 'checkpoint', 'model.ckpt-0.data-00000-of-00001', 'model.ckpt-0.index',
      'model.ckpt-0.manifest.json', 'source.json', 'vocab.txt']
  back = Checkpoint(str(tmp_path / 'run'))
  assert back.step == 0 and checkpoints.problem_with(back.path) is None
  tensors = back.tensors()
  assert sorted(tensors) == sorted(WEIGHTS)
  assert all(tensors[name].tobytes() == value.tobytes() for name, value in WEIGHTS.items())
  assert AlbertConfig.from_json_file(str(tmp_path / 'run' / 'albert_config.json')) == CONFIG
  assert inspection.verify(back)['problems'] == []
  assert len(report['mapped']) == 32 and report['notes'] == []
  source = json.loads((tmp_path / 'run' / 'source.json').read_text())
  assert source['class'] == 'AlbertForPreTraining' and 'model.safetensors' in source['sha256']


def test_labels_task_and_case_go_there_and_back(tmp_path):
  tensors = random_models.weights(CONFIG, (names.ENCODER, names.POOLER))
  tensors.update(output_weights=np.float32(np.arange(63).reshape(3, 21)), output_bias=np.float32([1, 2, 3]))
  random_models.save(tmp_path / 'run', CONFIG, tensors)
  (tmp_path / 'run' / 'labels.json').write_text('{"体育": 12, "财经": 3, "a": 1}', encoding='utf-8')
  (tmp_path / 'run' / 'task.json').write_text('{"kind": "classify", "do_lower_case": false}')
  folder.write(Checkpoint(str(tmp_path / 'run')), str(tmp_path / 'theirs'))
  values = json.loads((tmp_path / 'theirs' / 'config.json').read_text(encoding='utf-8'))
  assert values['id2label'] == {'0': '体育', '1': '财经', '2': 'a'} and values['label2id']['a'] == 2
  assert values['problem_type'] == 'single_label_classification'
  report = folder.read(str(tmp_path / 'theirs'), str(tmp_path / 'back'))
  assert 'do_lower_case False: give it to the data tools too' in report['notes']
  folder.write(Checkpoint(str(tmp_path / 'back')), str(tmp_path / 'again'))
  for name in ('config.json', 'tokenizer_config.json', 'model.safetensors'):
    assert (tmp_path / 'again' / name).read_bytes() == (tmp_path / 'theirs' / name).read_bytes()


@pytest.mark.parametrize('text, message', [
    ('["a"]', 'expected 2 labels, the rows of the classifier, found 1'), ('[', 'a JSON list of labels, found'),
    ('3', 'a JSON list of labels, found'), ('{"labels": ["a", "b", "c"]}', 'found 3')])
def test_labels_that_do_not_fit_are_refused(tmp_path, text, message):
  tensors = random_models.weights(CONFIG, (names.ENCODER, names.POOLER))
  tensors.update(output_weights=np.zeros([2, 21], np.float32), output_bias=np.zeros(2, np.float32))
  random_models.save(tmp_path / 'run', CONFIG, tensors)
  (tmp_path / 'run' / 'labels.json').write_text(text)
  with pytest.raises(UserError, match=message):
    folder.write(Checkpoint(str(tmp_path / 'run')), str(tmp_path / 'theirs'), task='classify')
  assert_nothing_left(tmp_path, 'run')


def test_what_to_hf_makes_of_halves_and_of_a_missing_pooler(tmp_path):
  tensors = {name: value.astype(np.float16) if name.startswith('bert/embeddings') else value
             for name, value in random_models.weights(CONFIG, (names.ENCODER,)).items()}
  random_models.save(tmp_path / 'run', CONFIG, tensors)
  (tmp_path / 'run' / 'task.json').write_text('{"kind": "pretraining", "do_lower_case": true}')
  report = folder.write(Checkpoint(str(tmp_path / 'run')), str(tmp_path / 'theirs'))
  assert report['class'] == 'AlbertModel'
  assert report['notes'] == ['no pooler: transformers will make up a random one', 'float16 became float32']


@pytest.mark.parametrize('kind, dtype, note', [('F16', '<f2', 'float16'), ('BF16', None, 'bfloat16')])
def test_halves_are_widened_and_it_is_said(theirs, copy, tmp_path, kind, dtype, note):
  tensors, _ = read_safetensors(os.path.join(theirs, 'model.safetensors'))
  halves = {name: value.astype('<f2') if dtype else (value.view('<u4') >> 16).astype('<u2')
            for name, value in tensors.items()}
  write_safetensors(copy / 'model.safetensors', {name: (kind, value) for name, value in halves.items()})
  report = folder.read(str(copy), str(tmp_path / 'run'))
  assert report['notes'] == ['32 tensors widened from {} to float32'.format(note)]
  expected = halves['albert.pooler.bias']
  expected = expected.astype(np.float32) if dtype else (expected.astype('<u4') << 16).view('<f4')
  np.testing.assert_array_equal(Checkpoint(str(tmp_path / 'run')).tensor('bert/pooler/dense/bias'), expected)


def test_shards(theirs, copy, tmp_path):
  tensors, _ = read_safetensors(copy / 'model.safetensors')
  (copy / 'model.safetensors').unlink()
  of_name = {name: 'model-{}.safetensors'.format('pooler' in name) for name in tensors}
  for shard in set(of_name.values()):
    write_safetensors(copy / shard, {name: ('F32', tensors[name]) for name in tensors if of_name[name] == shard})
  (copy / 'model.safetensors.index.json').write_text(json.dumps({'weight_map': of_name}))
  folder.read(str(copy), str(tmp_path / 'run'))
  np.testing.assert_array_equal(Checkpoint(str(tmp_path / 'run')).tensor('bert/pooler/dense/kernel'),
                                WEIGHTS['bert/pooler/dense/kernel'])
  (copy / 'model-True.safetensors').unlink()
  with pytest.raises(UserError, match='expected its 2 shards beside it, found 1 missing: model-True.safetensors'):
    folder.read(str(copy), str(tmp_path / 'other'))
  (copy / 'model.safetensors.index.json').write_text(json.dumps({'weight_map': {'x': '../model.safetensors'}}))
  with pytest.raises(UserError, match='expected names of files in its folder'):
    folder.read(str(copy), str(tmp_path / 'other'))
  assert_nothing_left(tmp_path, 'copy', 'run')


@pytest.mark.parametrize('changes, message', [
    ({'model_type': 'bert'}, "expected model_type albert, found 'bert'"),
    ({'hidden_act': 'gelu'}, 'the erf form, and in early conversions a mistake'),
    ({'hidden_act': 'silu'}, "found 'silu'; this library has gelu, relu"),
    ({'layer_norm_eps': 1e-5}, 'expected layer_norm_eps 1e-12'), ({'is_decoder': True}, 'expected is_decoder False'),
    ({'position_embedding_type': 'relative_key'}, "expected position_embedding_type 'absolute'"),
    ({'tie_word_embeddings': False}, 'expected tie_word_embeddings True'),
    ({'rotary_dim': 3}, 'found rotary_dim, whose effect is not known'),
    ({'num_attention_heads': 4}, 'a multiple of num_attention_heads'),
    ({'vocab_size': 54}, r'word_embeddings is \[53, 10\] instead of \[54, 10\]'), ({'vocab_size': Ellipsis}, 'vocab_'),
    ({'num_hidden_groups': 2}, 'found 16 missing')])
def test_a_configuration_that_does_not_fit_is_one_line(copy, tmp_path, changes, message):
  change_json(copy / 'config.json', **changes)
  with pytest.raises(UserError, match=message) as caught:
    folder.read(str(copy), str(tmp_path / 'run'))
  assert '\n' not in str(caught.value)
  assert_nothing_left(tmp_path, 'copy')


@pytest.mark.parametrize('theirs_act, hidden_act, ours', [
    ('gelu_new', None, 'gelu'), ('gelu_pytorch_tanh', None, 'gelu'), ('relu', None, 'relu'), ('gelu', 'gelu', 'gelu'),
    ('gelu', 'relu', 'relu'), (Ellipsis, None, 'gelu')])
def test_activations(copy, tmp_path, theirs_act, hidden_act, ours):
  change_json(copy / 'config.json', hidden_act=theirs_act)
  folder.read(str(copy), str(tmp_path / 'run'), hidden_act=hidden_act)
  assert AlbertConfig.from_json_file(str(tmp_path / 'run' / 'albert_config.json')).hidden_act == ours


def test_keys_without_an_effect_are_ignored(copy, tmp_path):
  change_json(copy / 'config.json', layers_to_keep=[], down_scale_factor=1, gap_size=0, net_structure_type=0,
              num_memory_blocks=0, ln_type='postln', torch_dtype='float32', dtype='float32', use_cache=True,
              transformers_version='4.57.1', pruned_heads={}, position_embedding_type='absolute', is_decoder=False,
              output_past=True, problem_type=None, top_k=50)
  folder.read(str(copy), str(tmp_path / 'run'))


def test_the_weights_file(copy, tmp_path):
  weights = copy / 'model.safetensors'
  content = weights.read_bytes()
  for bad in (content[:-5], b'', struct.pack('<Q', 2 ** 40) + content[8:]):
    weights.write_bytes(bad)
    with pytest.raises(UserError, match='expected a safetensors file, found a damaged one') as caught:
      folder.read(str(copy), str(tmp_path / 'run'))
    assert '\n' not in str(caught.value)
  write_safetensors(weights, {'albert.pooler.bias': ('I16', np.zeros(21, '<i2')), 'x': ('F8_E4M3', np.zeros(2, 'u1'))})
  with pytest.raises(UserError, match='a type of compressed weights'):
    folder.read(str(copy), str(tmp_path / 'run'))
  weights.unlink()
  with pytest.raises(UserError, match='expected model.safetensors or pytorch_model.bin, found neither'):
    folder.read(str(copy), str(tmp_path / 'run'))
  (copy / 'tf_model.h5').write_text('')
  with pytest.raises(UserError, match='found tf_model.h5; save it as model.safetensors'):
    folder.read(str(copy), str(tmp_path / 'run'))
  (copy / 'config.json').unlink()
  with pytest.raises(UserError, match='expected a folder of transformers with config.json'):
    folder.read(str(copy), str(tmp_path / 'run'))
  assert_nothing_left(tmp_path, 'copy')


def test_weights_that_are_not_finite_are_refused_both_ways(tmp_path, copy):
  tensors = dict(WEIGHTS, **{'bert/pooler/dense/bias': np.float32([np.nan] + [0] * 20)})
  random_models.save(tmp_path / 'run', CONFIG, tensors)
  with pytest.raises(UserError, match='found NaN or infinite values in bert/pooler/dense/bias'):
    folder.write(Checkpoint(str(tmp_path / 'run')), str(tmp_path / 'theirs'))
  saved, _ = read_safetensors(copy / 'model.safetensors')
  saved['albert.pooler.bias'] = saved['albert.pooler.bias'] * np.float32(np.inf)
  write_safetensors(copy / 'model.safetensors', {name: ('F32', value) for name, value in saved.items()})
  with pytest.raises(UserError, match='found NaN or infinite values in bert/pooler/dense/bias'):
    folder.read(str(copy), str(tmp_path / 'back'))


def test_segments_of_uer(copy, tmp_path):
  tensors, _ = read_safetensors(copy / 'model.safetensors')
  name = 'albert.embeddings.token_type_embeddings.weight'
  tensors[name] = np.concatenate([np.full([1, 10], 7, np.float32), tensors[name]])
  write_safetensors(copy / 'model.safetensors', {name: ('F32', value) for name, value in tensors.items()})
  with pytest.raises(UserError, match='as UER has, whose row 0 is padding; leave it out with --drop_segment_row=0'):
    folder.read(str(copy), str(tmp_path / 'run'))
  with pytest.raises(UserError, match='one of its 3 rows, found 3'):
    folder.read(str(copy), str(tmp_path / 'run'), drop_segment_row=3)
  folder.read(str(copy), str(tmp_path / 'run'), drop_segment_row=0)
  np.testing.assert_array_equal(Checkpoint(str(tmp_path / 'run')).tensor('bert/embeddings/token_type_embeddings'),
                                WEIGHTS['bert/embeddings/token_type_embeddings'])


def test_a_vocabulary_of_another_size_or_none(copy, tmp_path):
  (copy / 'vocab.txt').write_text(''.join(token + '\n' for token in random_models.tokens(52)), encoding='utf-8')
  with pytest.raises(UserError, match='expected 53 tokens, the rows of the word embeddings, found 52'):
    folder.read(str(copy), str(tmp_path / 'run'))
  (copy / 'vocab.txt').unlink()
  (copy / 'spiece.model').write_text('')
  with pytest.raises(UserError, match='found neither .it has spiece.model, a SentencePiece model'):
    folder.read(str(copy), str(tmp_path / 'run'))
  assert_nothing_left(tmp_path, 'copy')


def test_the_vocabulary_of_transformers_5_lies_in_tokenizer_json(copy, tmp_path):
  (copy / 'vocab.txt').unlink()
  (copy / 'tokenizer_config.json').write_text('{"tokenizer_class": "BertTokenizer"}')
  ids = {token: index for index, token in reversed(list(enumerate(random_models.tokens(53))))}
  whole = {'normalizer': {'type': 'BertNormalizer', 'lowercase': False}, 'model': {'type': 'WordPiece', 'vocab': ids}}
  (copy / 'tokenizer.json').write_text(json.dumps(whole))
  report = folder.read(str(copy), str(tmp_path / 'run'))
  assert Vocabulary.load(str(tmp_path / 'run' / 'vocab.txt')).tokens == random_models.tokens(53)
  assert report['notes'] == ['do_lower_case False: give it to the data tools too']
  ids[random_models.tokens(53)[7]] = 53
  (copy / 'tokenizer.json').write_text(json.dumps(whole))
  with pytest.raises(UserError, match='expected ids from 0 to 52'):
    folder.read(str(copy), str(tmp_path / 'other'))


def test_repeated_tokens():
  tokens = random_models.tokens(53)
  tokens[33] = tokens[16]
  with pytest.raises(UserError, match='found 1 repeated: line 34 repeats line 17'):
    tokenizer_files.checked(tokens, 53, False, 'vocab.txt')
  # A row for each distinct token: its program did not count the repetition.
  vocabulary, notes = tokenizer_files.checked(tokens, 52, True, 'vocab.txt')
  assert vocabulary.tokens == tokens[:33] + tokens[34:] and '1 repeated lines removed' in notes[0]
  # A row for each line: the last one is the token's.
  vocabulary, notes = tokenizer_files.checked(tokens, 53, True, 'vocab.txt')
  assert vocabulary.ids[tokens[33]] == 33 and vocabulary.tokens[16] == '[repeated17]'
  assert len(set(vocabulary.tokens)) == 53
  with pytest.raises(UserError, match='expected 51 tokens'):
    tokenizer_files.checked(tokens, 51, True, 'vocab.txt')


def test_nothing_is_overwritten(run, theirs, tmp_path):
  (tmp_path / 'there').mkdir()
  (tmp_path / 'there' / 'mine.txt').write_text('mine')
  for convert in (lambda path: folder.write(Checkpoint(run), path), lambda path: folder.read(theirs, path)):
    with pytest.raises(UserError, match='expected the name of a new folder'):
      convert(str(tmp_path / 'there'))
  assert_nothing_left(tmp_path / 'there', 'mine.txt')
  (tmp_path / 'empty').mkdir()
  folder.write(Checkpoint(run), str(tmp_path / 'empty') + '/')
  assert len(os.listdir(str(tmp_path / 'empty'))) == 6


@pytest.mark.parametrize('name', ['albert_config.json', 'vocab.txt'])
def test_what_describes_the_weights_is_needed(run, tmp_path, name):
  shutil.copytree(run, str(tmp_path / 'run'))
  (tmp_path / 'run' / name).unlink()
  with pytest.raises(UserError, match='expected {} beside the checkpoint, found none'.format(name)):
    folder.write(Checkpoint(str(tmp_path / 'run')), str(tmp_path / 'theirs'))
  assert_nothing_left(tmp_path, 'run')


def test_other_names_of_published_folders(run, tmp_path):
  shutil.copytree(run, str(tmp_path / 'run'))
  (tmp_path / 'run' / 'vocab.txt').rename(tmp_path / 'run' / 'vocab_chinese.txt')
  (tmp_path / 'run' / 'albert_config.json').rename(tmp_path / 'run' / 'albert_config_tiny.json')
  folder.write(Checkpoint(str(tmp_path / 'run')), str(tmp_path / 'theirs'))


def test_a_full_disk_leaves_nothing(run, tmp_path, monkeypatch):
  def full(*arguments, **more):
    raise OSError(28, 'No space left on device')
  monkeypatch.setattr(folder.safetensors_files, 'write', full)
  with pytest.raises(UserError, match='No space left on device; free space or name another'):
    folder.write(Checkpoint(run), str(tmp_path / 'theirs'))
  assert_nothing_left(tmp_path)
