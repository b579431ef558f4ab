"""EM and F1 as CMRC 2018 defines them, on pairs that were worked out by hand."""

import numpy as np
import pytest

from albert.scoring import answers
from albert.scoring import treebank

# (right answers, predicted, EM, segments in common, segments of the right answer, of the predicted one): F1 is
# 2 * common / (right + predicted).
PAIRS = [
    # Equal but for what does not count.
    (['1963年'], '1963年', 1, 2, 2, 2),
    (['《战国无双3》'], '战国无双3', 1, 5, 5, 5),
    (['光荣和ω-force'], '光荣和Ω-FORCE', 1, 4, 4, 4),
    ([' 北京 '], '北京', 1, 2, 2, 2),
    (['北京。'], '北京', 1, 2, 2, 2),
    (['A，B'], 'ab', 1, 1, 1, 1),
    (['2008-2009'], '20082009', 1, 1, 1, 1),
    (['12:30'], '12：30', 1, 1, 1, 1),
    (['“你好”'], '你好！', 1, 2, 2, 2),
    (['张·三'], '张三', 1, 2, 2, 2),
    (['他、她'], '他她', 1, 2, 2, 2),
    (['a/b'], 'a\\b', 1, 1, 1, 1),
    # Marks that are not in the list stay.
    (['北京…'], '北京', 0, 2, 3, 2),
    (['北京!'], '北京', 0, 2, 3, 2),
    (['(北京)'], '北京', 0, 2, 4, 2),
    (['北京.'], '北京', 0, 2, 3, 2),
    (['100%'], '100', 0, 1, 2, 1),
    (['【甲】'], '甲', 0, 1, 3, 1),
    (['‘甲'], '甲', 0, 1, 2, 1),
    # Overlap.
    (['北京市'], '北京', 0, 2, 3, 2),
    (['北京'], '在北京市', 0, 2, 2, 4),
    (['上海'], '北京', 0, 0, 2, 2),
    (['甲乙丙丁'], '甲乙丁', 0, 2, 4, 3),
    (['甲乙丙丁'], '甲丙乙丁', 0, 1, 4, 4),
    (['甲乙甲乙丙'], '甲乙丙', 0, 3, 5, 3),
    (['甲，乙'], '甲丙乙', 0, 1, 2, 3),
    (['甲甲甲'], '甲', 0, 1, 3, 1),
    # Runs that are not Han are words.
    (['iphone 6 plus'], 'iphone 6', 0, 2, 3, 2),
    (['iPhone6'], 'iphone', 0, 0, 1, 1),
    (['1,000元'], '1000元', 0, 1, 2, 2),
    (['3.5米'], '3.5', 0, 1, 2, 1),
    (['3.5'], '3', 0, 0, 1, 1),
    (["don't stop"], 'stop', 0, 1, 3, 1),
    (['第2届nba总冠军'], 'nba总冠军', 0, 4, 7, 4),
    # Kana and rare Han are no Han of the definition: a run.
    (['ナルト'], 'ナル', 0, 0, 1, 1),
    (['\u3400\u3401'], '\u3400', 0, 0, 1, 1),
    # The best of several right answers; each figure by itself.
    (['北京', '北京市', '京'], '北京市', 1, 3, 3, 3),
    (['上海', '北京市区'], '北京市', 0, 3, 4, 3),
    # Nothing.
    (['北京'], '', 0, 0, 2, 0),
    (['北京'], '。', 0, 0, 2, 0),
    ([], '', 1, 1, 1, 1),
    ([], '北京', 0, 0, 1, 2),
]


@pytest.mark.parametrize('right, predicted, em, common, size, found', PAIRS)
def test_pairs_worked_out_by_hand(right, predicted, em, common, size, found):
  assert answers.exact_match(right, predicted) == em
  assert answers.f1(right, predicted) == pytest.approx(2 * common / (size + found))


def test_there_are_forty_pairs():
  assert len(PAIRS) >= 40


def test_a_score_is_over_all_questions_and_in_percent():
  figures = answers.score([['北京'], ['北京市'], ['甲'], ['乙']], ['北京', '北京', '', None])
  assert figures == {'em': 25, 'f1': pytest.approx(100 * (1 + 0.8) / 4), 'average': pytest.approx((25 + 45) / 2)}
  assert list(figures)[0] == 'em'
  assert answers.score([], []) == {'em': 0, 'f1': 0, 'average': 0}


@pytest.mark.parametrize('text, words', [
    ('', []), ('nba', ['nba']), ('hello, world!', ['hello', ',', 'world', '!']),
    ('1,000.5', ['1,000.5']), ('10:30', ['10:30']), ('a:b', ['a', ':', 'b']), ('a,', ['a', ',']),
    ('the end.', ['the', 'end', '.']), ('u.s. army', ['u.s.', 'army']), ('wait...', ['wait', '...']),
    ('"quoted"', ['``', 'quoted', "''"]), ('say "hi" now', ['say', '``', 'hi', "''", 'now']),
    ('(a)', ['(', 'a', ')']), ('a--b', ['a', '--', 'b']), ('$5 & 6%', ['$', '5', '&', '6', '%']),
    ("don't", ['do', "n't"]), ("it's we'll", ['it', "'s", 'we', "'ll"]), ('cannot gonna', ['can', 'not', 'gon', 'na']),
    ("'tis", ["'t", 'is']), ("the boys' toys", ['the', 'boys', "'", 'toys']), ('a-b c/d', ['a-b', 'c/d']),
    ("more'n d'ye", ['more', "'n", 'd', "'ye"]), ('a@b.com', ['a', '@', 'b.com']),
])
def test_words_are_those_of_the_treebank(text, words):
  assert treebank.words(text) == words


def test_the_common_run_is_the_longest_of_all():
  random = np.random.RandomState(0)
  for _ in range(200):
    first, second = (random.randint(3, size=random.randint(9)).tolist() for _ in range(2))
    longest = max(end - start for start in range(len(first) + 1) for end in range(start, len(first) + 1)
                  if any(first[start:end] == second[place:place + end - start] for place in range(len(second) + 1)))
    assert answers.longest_common_run(first, second) == longest


def test_the_common_run_is_contiguous():
  assert answers.longest_common_run(list('abcde'), list('xbcye')) == 2
  assert answers.longest_common_run([], list('a')) == answers.longest_common_run(list('a'), []) == 0
