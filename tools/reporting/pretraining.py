"""What a report says of pre-training: held-out figures in words, curves, and predictions."""

from albert.common import json_text
from tools.prediction import heldout
from tools.prediction import masked
from tools.reporting import charts
from tools.reporting import words

_PREFIX = 'pretraining/'


def figures(run):
  """The held-out figures of the best checkpoint as HTML. run: material.Material."""
  values, step = run.best, run.best.get('global_step')
  if 'masked_lm_loss' not in values:
    values = run.results.get('heldout') or {}
    # A run that was stopped stands at a later step than its last evaluation.
    evaluated = run.heldout.get('masked_lm_loss') or [(run.results.get('global_step'), None)]
    step = evaluated[-1][0]
  needed = ('masked_lm_loss', 'masked_lm_accuracy', 'sentence_order_loss', 'sentence_order_accuracy')
  if not all(name in values for name in needed) or not json_text.all_finite(values[name] for name in needed):
    return words.paragraphs(['Not evaluated so far: held-out figures come with each checkpoint, or from make eval.'])
  loss, unigram = values['masked_lm_loss'], values.get('unigram_cross_entropy')
  gained = unigram - loss if unigram is not None else None
  tiles = [(words.perplexity(loss), 'perplexity of masked tokens', 'loss {:.4f} nats'.format(loss)),
           (words.PERCENT(values['masked_lm_accuracy']), 'of masked tokens named right', 'its first answer'),
           (words.PERCENT(values['sentence_order_accuracy']), 'of sentence orders told', 'a guess has 50%')]
  if gained is not None:
    tiles.insert(1, ('{:.2f} nats'.format(abs(gained)), 'better than a unigram model' if gained > 0 else
                     'worse than a unigram model', 'whose perplexity is {}'.format(words.perplexity(unigram))))
  told = ['These are figures of documents that training never sees{}. Faced with a masked token, the model is as '
          'unsure as if it had to choose among {} tokens that are all as likely.{}'.format(
              ', with the weights of step {:,}'.format(step) if step is not None else '', words.perplexity(loss),
              _beside_unigram(gained, unigram))]
  return words.tiles(tiles) + words.paragraphs(told)


def _beside_unigram(gained, unigram):
  if gained is None:
    return ''
  told = ' A unigram model, which knows how often each token occurs and nothing of its context, has {}'.format(
      words.perplexity(unigram))
  return told + (': what is gained comes from the context.' if gained > 0.1 else
                 ': so far next to nothing is gained from the context.' if gained > 0 else
                 ': so far this model does worse than that.')


def curves(run):
  """Charts as HTML. run: material.Material."""
  def training(name):
    return charts.Curve('training', run.curves.get(_PREFIX + name, []), charts.TRAINING)

  def heldout_of(name):
    return charts.Curve('held-out', run.heldout.get(name, []), charts.HELDOUT)

  unigram = (run.results.get('heldout') or {}).get('unigram_cross_entropy')
  level = [charts.Curve('unigram', [(0, unigram)], charts.LEVEL)] if unigram is not None else []
  made = [charts.chart('Masked-token loss, nats', [training('masked_lm_loss'), heldout_of('masked_lm_loss')] + level),
          charts.chart('Masked tokens named right', [training('masked_lm_accuracy'), heldout_of('masked_lm_accuracy')],
                       '{:.0%}'.format),
          charts.chart('Sentence-order loss, nats', [training('sentence_order_loss'),
                                                     heldout_of('sentence_order_loss')]),
          charts.chart('Sentence orders told', [training('sentence_order_accuracy'),
                                                heldout_of('sentence_order_accuracy')], '{:.0%}'.format)]
  if not training('masked_lm_loss').points:
    made.append(charts.chart('Training loss, nats', [training('total_loss')]))
  return ''.join(made)


def samples(guesses):
  """Sentences with what the model takes to be under their masks, as HTML. guesses: list of heldout.Guessed."""
  return ''.join('<div lang="zh-CN" class="sample"><p class="text">{}</p>{}</div>'.format(
      ''.join(_token(token, sentence, place) for place, token in enumerate(sentence.tokens)),
      ''.join(map(_guess, sentence.guesses))) for sentence in guesses)


def _token(token, sentence, place):
  text = words.escape(heldout.text_of([token]))
  if place not in sentence.places:
    return text
  rank = sentence.guesses[sentence.places.index(place)][2]
  return '<mark class="{}">{}</mark>'.format('hit' if rank == 1 else 'miss', text)


def _guess(guess):
  right, chance, rank, best = guess
  chips = ''.join('<span class="chip{}"><i style="width:{:.1f}%"></i>{}<small>{}</small></span>'.format(
      ' right' if token == right else '', 100 * value, words.escape(token), masked.percent(value))
                  for token, value in best)
  end = '' if rank <= len(best) else '<small>{} itself: number {:,}, {}</small>'.format(
      words.escape(right), rank, masked.percent(chance))
  return '<p class="guess"><b>{}</b>{}{}</p>'.format(words.escape(right), chips, end)
