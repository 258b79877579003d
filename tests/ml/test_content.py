import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from noria.ml import content
from noria.ml.content import hash_rows, leaked_rows, repeated_rows
from noria.schema import Column, Schema

REPEATABLE = settings(deadline=None, derandomize=True)

SCHEMA = Schema(
    columns=(
        Column(name="id", type="int64", role="id"),
        Column(name="at", type="timestamp", role="time"),
        Column(name="x", type="float32", role="feature", shape=(2,)),
        Column(name="n", type="int64", role="feature"),
        Column(name="s", type="string", role="feature"),
        Column(name="y", type="int64", role="label"),
    )
)


def features(count=1, **changes):
    rows = {
        "x": np.tile(np.array([1.0, -2.0], np.float32), (count, 1)),
        "n": np.full(count, 7),
        "s": np.full(count, "ab", dtype=object),
    }
    return rows | changes


def test_equal_features_have_equal_hashes_and_any_change_makes_another():
    plain = hash_rows(features(), SCHEMA)
    assert (hash_rows(features(3), SCHEMA) == plain).all()
    others = (
        features(x=np.array([[1.0, -2.5]], np.float32)),
        features(x=np.array([[-2.0, 1.0]], np.float32)),
        features(n=np.array([8])),
        features(s=np.array(["abc"], dtype=object)),
        features(s=np.array([None], dtype=object)),
        features(s=np.array([""], dtype=object)),
    )
    hashes = {int(hash_rows(changed, SCHEMA)[0]) for changed in others} | {int(plain[0])}
    assert len(hashes) == len(others) + 1


def test_zeros_and_missing_values_are_equal_to_their_own_kind():
    nan = np.frombuffer(b"\x01\x00\xc0\x7f", np.float32)[0]  # a NaN of other bits than numpy's own
    for one, other in ((0.0, -0.0), (np.nan, nan)):
        first, second = (features(x=np.array([[value, 1]], np.float32)) for value in (one, other))
        assert hash_rows(first, SCHEMA) == hash_rows(second, SCHEMA)


def test_what_stands_under_a_null_mark_does_not_count_but_the_mark_does():
    nulls = {"n": np.array([True, True, False])}
    hashes = hash_rows(features(3, n=np.array([1, 2, 0])), SCHEMA, nulls)
    assert hashes[0] == hashes[1] != hashes[2]


def test_chunks_change_nothing(monkeypatch):
    rows = features(100, n=np.arange(100))
    whole = hash_rows(rows, SCHEMA)
    monkeypatch.setattr(content, "CHUNK", 7)
    assert (hash_rows(rows, SCHEMA) == whole).all()
    assert len(hash_rows(features(0), SCHEMA)) == 0


@REPEATABLE
@given(st.lists(st.integers(0, 5), max_size=20), st.data())
def test_repeats_and_leaks_are_those_that_a_loop_finds(values, data):
    hashes = np.array(values, dtype=np.uint64)
    assert repeated_rows(hashes).tolist() == [row for row in range(len(values)) if values[row] in values[:row]]
    cut = data.draw(st.integers(0, len(values)))
    training, holdout = np.arange(cut), np.arange(cut, len(values))
    assert leaked_rows(hashes, training, holdout).tolist() == [row for row in range(cut) if values[row] in values[cut:]]
