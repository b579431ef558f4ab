"""Options of fine-tuning: steps follow from examples, and what belongs to another kind is refused."""

import pytest

from albert.common.errors import UserError
from albert import lamb
from albert.training.finetune_options import FinetuneOptions


@pytest.mark.parametrize('options, steps, saved', [
    (dict(epochs=3.0), 114, 38), (dict(epochs=0.5), 19, 19), (dict(epochs=0.001), 1, 1),
    (dict(epochs=2, eval_every_steps=10), 76, 10), (dict(epochs=None, num_train_steps=50), 50, 38)])
def test_steps_follow_from_the_epochs(options, steps, saved):
  made = FinetuneOptions(kind='classify', **options).with_steps(1185)
  assert (made.num_train_steps, made.save_checkpoints_steps) == (steps, saved)
  assert made.with_steps(1185) == made


def test_the_warm_up_is_a_share_of_the_steps():
  made = FinetuneOptions(kind='tag').with_steps(1185)
  assert made.adapt(lamb.OptimizerOptions()).num_warmup_steps == 11
  made = FinetuneOptions(kind='tag', warmup_proportion=None).with_steps(1185)
  assert made.adapt(lamb.OptimizerOptions(num_warmup_steps=7)).num_warmup_steps == 7


@pytest.mark.parametrize('proportion, setting', [
    (0.9, 'finetune.warmup_proportion=0.1'), (None, 'OptimizerOptions.num_warmup_steps=2')])
def test_a_shorter_warm_up_is_said_by_what_decides(proportion, setting):
  assert FinetuneOptions(kind='tag', warmup_proportion=proportion).with_steps(1000).shorter_warm_up() == setting


def test_the_head_is_new_and_the_pooler_if_asked():
  assert FinetuneOptions(kind='classify').new_parts == ('head',)
  assert FinetuneOptions(kind='classify', new_pooler=True).new_parts == ('head', 'pooler')


@pytest.mark.parametrize('name, value, kind', [
    ('kind', 'translate', 'translate'), ('epochs', 0, 'tag'), ('crf', True, 'classify'), ('crf', 1, 'tag'),
    ('class_weights', 'balanced', 'tag'), ('class_weights', [1, 0], 'classify'), ('class_weights', 'even', 'classify'),
    ('label_smoothing', 0.1, 'read'), ('label_smoothing', 1.0, 'classify'), ('head_dropout', -0.1, 'tag'),
    ('early_stopping_evals', 0, 'tag'), ('eval_every_steps', 2.5, 'tag'), ('fgm_epsilon', -1, 'tag'),
    ('warmup_proportion', 1, 'tag'), ('train_batch_size', 0, 'tag')])
def test_what_cannot_be_meant(name, value, kind):
  with pytest.raises(UserError, match='finetune.' + name):
    FinetuneOptions(**dict({'kind': kind}, **{name: value}))


def test_class_weights_cannot_be_changed_afterwards():
  assert FinetuneOptions(kind='classify', class_weights=[1, 2.5]).class_weights == (1, 2.5)
