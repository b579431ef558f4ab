"""What a classifier without a language model reaches: TF-IDF of characters and logistic regression, on the same text.

    python -m tools.benchmarks.baseline --data_dir=tnews [--ngrams=2 --strength=10]

Character 1- to N-grams, sublinear counts, scikit-learn's logistic regression with C = --strength. It is fitted on train
and scored on dev and test by the code of fine-tuning. A fine-tuned model that is not better has learned little of the
language.
"""

from absl import flags

from albert.answers import report
from albert.common import cli
from albert.common.errors import UserError
from albert.labelled import options as labelled
from albert.labelled import sources
from albert.scoring import classes

FLAGS = flags.FLAGS


def define_flags():
  """Not at import: two programs may be imported into one test."""
  flags.DEFINE_string('data_dir', None, 'Folder with train, dev and test, one class each.')
  flags.DEFINE_string('label', None, 'Name of the label, as FinetuneData.label; by default it is recognised.')
  flags.DEFINE_integer('ngrams', 2, 'The longest n-gram.', lower_bound=1)
  flags.DEFINE_float('strength', 10.0, 'C of the regression, the inverse of its regularisation.', lower_bound=1e-6)


def main(argv):
  """Prints accuracy and macro-F1 of dev and test."""
  cli.no_positional_arguments(argv)
  if not FLAGS.data_dir:
    raise UserError('expected --data_dir=... (DATA=...), found none; name the folder')
  splits = sources.open_splits(FLAGS.data_dir, labelled.CLASSIFY, labelled.LabelledOptions(label=FLAGS.label))
  if splits.labels.multi_label:
    raise UserError('{}: expected one class for each text, found several; this baseline has one'.format(FLAGS.data_dir))
  predict = fitted(splits.train, FLAGS.ngrams, FLAGS.strength)
  for title, examples in (('dev', splits.dev), ('test', splits.test)):
    known = [example for example in examples or () if example.label is not None]
    if known:
      figures = classes.single_label([splits.labels.id(example.label) for example in known],
                                     [splits.labels.id(name) for name in predict(known)], splits.labels.names)
      print(report.split_lines(title, figures, len(known))[0])


def fitted(train, ngrams=2, strength=10.0):
  """A function of a list of Example that gives the list of their labels.

  Args:
    train: list of Example with labels.
    ngrams: int, the longest n-gram.
    strength: float, C.
  """
  from sklearn.feature_extraction.text import TfidfVectorizer
  from sklearn.linear_model import LogisticRegression
  from sklearn.pipeline import make_pipeline
  model = make_pipeline(TfidfVectorizer(analyzer='char', ngram_range=(1, ngrams), sublinear_tf=True),
                        LogisticRegression(C=strength, max_iter=1000))
  model.fit(_texts(train), [example.label for example in train])
  return lambda examples: list(model.predict(_texts(examples)))


def _texts(examples):
  # The two texts of a pair in one; the line between them makes n-grams of neither.
  return [example.text_a if example.text_b is None else example.text_a + '\n' + example.text_b for example in examples]


if __name__ == '__main__':
  define_flags()
  cli.run(main)
