from albert.common.counts import counted


def test_one_thing_has_no_s_and_large_numbers_have_commas():
  assert [counted(count, 'step') for count in (0, 1, 2, 1200)] == ['0 steps', '1 step', '2 steps', '1,200 steps']
