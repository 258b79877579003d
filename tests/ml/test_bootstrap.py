import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from noria.ml import bootstrap
from noria.ml.bootstrap import Estimate, RowSums, difference, holm, interval, resample_sums

REPEATABLE = settings(deadline=None, derandomize=True)


def test_each_draw_takes_as_many_rows_as_there_are():
    sums = resample_sums(np.ones((137, 1)), draws=300, seed=1)
    assert (sums == 137).all()


def test_a_row_is_taken_by_a_multinomial_count():
    counts = resample_sums(np.eye(50), draws=20_000, seed=2)
    assert np.allclose(counts.mean(axis=0), 1.0, atol=0.05)  # every row, the first and the last as well
    assert counts.var(axis=0).mean() == pytest.approx(1 - 1 / 50, rel=0.02)
    assert np.corrcoef(counts[:, 0], counts[:, 1])[0, 1] == pytest.approx(-1 / 49, abs=0.03)


def test_equal_seeds_give_equal_draws_whatever_the_chunks_and_other_seeds_give_others(monkeypatch):
    columns = np.random.default_rng(0).random((100, 3))
    first = resample_sums(columns, draws=64, seed=3)
    monkeypatch.setattr(bootstrap, "CELLS", 700)
    assert np.allclose(resample_sums(columns, draws=64, seed=3), first, rtol=1e-13)
    assert not np.allclose(resample_sums(columns, draws=64, seed=4), first)


def test_memory_does_not_grow_with_the_draws():
    columns = np.ones((10_000, 2))

    def peak(draws: int) -> int:
        tracemalloc.start()
        resample_sums(columns, draws=draws, seed=0)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    assert peak(2000) < peak(200) * 1.1


def test_the_interval_of_a_share_is_that_of_the_normal_approximation():
    right = np.arange(10_000) < 9_000
    found = interval(RowSums({"right": right}, draws=2000, seed=5).mean("right"), 0.95)
    half = 1.96 * np.sqrt(0.9 * 0.1 / 10_000)
    assert found.value == 0.9
    assert (found.low, found.high) == (pytest.approx(0.9 - half, abs=5e-4), pytest.approx(0.9 + half, abs=5e-4))


def test_intervals_cover_the_truth_about_as_often_as_they_say():
    generator = np.random.default_rng(6)
    hits = 0
    for seed in range(300):
        found = interval(RowSums({"x": generator.random(400) < 0.8}, draws=400, seed=seed).mean("x"), 0.9)
        hits += found.low <= 0.8 <= found.high
    assert 0.84 <= hits / 300 <= 0.95


def test_a_draw_without_a_row_of_the_slice_is_left_out():
    mask = np.arange(50) == 7
    found = RowSums({"right": mask, "rows": mask}, draws=500, seed=7).ratio("right", "rows")
    assert found.value == 1.0
    assert 250 < len(found.draws) < 400  # 1 - 1/e of the draws
    assert (found.draws == 1.0).all()


def test_paired_draws_of_equal_columns_differ_by_nothing():
    column = np.random.default_rng(8).random(500) < 0.7
    sums = RowSums({"a": column, "b": column}, draws=200, seed=8)
    gap = Estimate(value=0.0, draws=sums.mean("a").draws - sums.mean("b").draws)
    found = difference(gap, confidence=0.95, margin=0.0, rows=500)
    assert (found.lower, found.interval.low, found.interval.high, found.p_worse) == (0.0, 0.0, 0.0, 1.0)


def test_the_lower_bound_leaves_out_the_worst_draws_only():
    found = difference(Estimate(value=0.5, draws=np.linspace(0, 1, 1001)), confidence=0.95, margin=0.0, rows=9)
    assert (found.lower, found.interval.low, found.interval.high) == (0.05, 0.025, 0.975)


def test_a_difference_beyond_the_margin_has_a_small_p_value_that_is_never_zero():
    far = Estimate(value=-0.2, draws=np.full(999, -0.2))
    assert difference(far, confidence=0.95, margin=0.1, rows=9).p_worse == 0.001
    assert difference(far, confidence=0.95, margin=0.2, rows=9).p_worse == 1.0


def test_the_interval_of_a_calibration_error_lies_around_its_value():
    generator = np.random.default_rng(9)
    noise = {place: generator.normal(size=1000) for place in range(15)}
    found = interval(RowSums(noise, draws=500, seed=9).mean_of_sizes(list(noise)), 0.95)
    assert found.low < found.value < found.high


def test_holm_adjusts_as_in_the_worked_example():
    adjusted = holm({"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.005})
    assert adjusted == {"d": 0.02, "a": 0.03, "c": 0.06, "b": 0.06}


@REPEATABLE
@given(st.dictionaries(st.text(max_size=3), st.floats(0, 1), min_size=1, max_size=20))
def test_holm_keeps_the_order_and_lies_between_no_correction_and_bonferroni(p_values):
    adjusted = holm(p_values)
    for name, p_value in p_values.items():
        assert p_value <= adjusted[name] <= min(1.0, len(p_values) * p_value)
    ranked = sorted(p_values, key=lambda name: p_values[name])
    assert [adjusted[name] for name in ranked] == sorted(adjusted.values())
