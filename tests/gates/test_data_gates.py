from known_evidence import with_evaluation

from noria.gates.data import needed_draws, rows_are_enough
from noria.gates.limits import Limits


def test_many_slices_need_more_draws_for_the_correction_to_be_able_to_refuse_one():
    assert needed_draws(20, 0.95) == 400
    assert needed_draws(20, 0.99) == 2000
    many = with_evaluation(slice_rows={f"s{place}": 100 for place in range(101)}, draws=2000)
    found = rows_are_enough(many, Limits())
    assert not found.passed
    assert found.reason == "2000 draws cannot show that one of 101 slices got worse: take more"
