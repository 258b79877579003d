"""Leaks: a feature that tells the label is found among honest ones, whatever its type, and named."""

import numpy as np
import pytest

from noria.ml.leaks import telling_features
from noria.schema import Column

COUNT = 3000
LABELS = (np.random.default_rng(1).random(COUNT) < 0.2).astype(np.int64)
PARTS = {"training": np.arange(2000), "holdout": np.arange(2000, COUNT)}


def column(name, kind, shape=()):
    return Column(name=name, type=kind, role="feature", shape=shape)


def area(values, kind, labels=LABELS, shape=()):
    return telling_features({"x": values}, [column("x", kind, shape)], labels, **PARTS)["x"]


def noise(scale):
    return np.random.default_rng(2).normal(0, scale, COUNT)


def texts(labels):
    return np.array(["late" if label else "early" for label in labels], object)


def missing_unless(labels):
    return np.where(labels == 1, 7.0, np.nan)


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (LABELS, "int64"),
        (1 - LABELS, "int64"),
        (LABELS == 1, "bool"),
        (texts(LABELS), "string"),
        (LABELS * 1000.0 + noise(1), "float64"),
        (np.where(LABELS == 1, 1, -1) * np.abs(noise(1)), "float64"),
        (missing_unless(LABELS), "float64"),
    ],
)
def test_a_label_in_disguise_tells_all(values, kind):
    assert area(values, kind) > 0.99


def test_chance_tells_nothing_and_part_of_the_truth_tells_part_of_it():
    assert area(noise(1), "float64") == pytest.approx(0.5, abs=0.05)
    assert area(np.array([f"name {n}" for n in range(COUNT)], object), "string") == pytest.approx(0.5, abs=0.01)
    assert 0.7 < area(LABELS + noise(1), "float64") < 0.85


def test_the_area_is_that_of_every_pair_of_rows():
    values = np.round(LABELS + noise(1))
    training, holdout = PARTS["training"], PARTS["holdout"]
    known = {value: [] for value in values[training]}
    for value, label in zip(values[training], LABELS[training], strict=True):
        known[value].append(label)
    mean = LABELS[training].mean()
    edges = np.unique(values[training])
    binned = [edges[place] if (place := np.searchsorted(edges, value)) < len(edges) else 99.0 for value in values]
    score = np.array([(sum(known.get(b, [])) + mean) / (len(known.get(b, [])) + 1) for b in binned])
    true, false = score[holdout][LABELS[holdout] == 1], score[holdout][LABELS[holdout] == 0]
    pairs = (true[:, None] > false).mean() + (true[:, None] == false).mean() / 2
    assert area(values, "float64") == pytest.approx(pairs, abs=1e-12)


def test_of_three_classes_each_is_told_from_the_others():
    labels = np.arange(COUNT) % 3
    assert area(labels * 2.0, "float64", labels) > 0.99
    assert area((labels == 0) * 1.0, "float64", labels) == pytest.approx((1 + 0.75 + 0.75) / 3, abs=0.02)


def test_pictures_and_labels_of_one_class_are_not_asked():
    picture = column("x", "float64", (2, 2))
    assert telling_features({"x": np.zeros((COUNT, 2, 2))}, [picture], LABELS, **PARTS) == {}
    assert telling_features({"x": noise(1)}, [column("x", "float64")], np.zeros(COUNT, np.int64), **PARTS) == {}
    none = {"training": np.arange(2000), "holdout": np.arange(0)}
    assert telling_features({"x": noise(1)}, [column("x", "float64")], LABELS, **none) == {}
