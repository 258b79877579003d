"""Weighting: a rare class counts in the training, the probabilities stay true, and no other row is touched."""

import circles
import numpy as np
import pytest
import torch
from circles import Circles
from torch.nn.functional import cross_entropy

from noria.ml.export import check_parity, export_onnx
from noria.ml.feeding import compute_logits, read_features
from noria.ml.loop import train
from noria.ml.progress import silent
from noria.ml.training import TrainingOptions, TrainingParameters
from noria.ml.weighting import class_weights, unweight

RARE = 0.1


class NoCheckpoints:
    def load(self):
        return None

    def save(self, data):
        pass


def rows_of(count, seed):
    """Circles of which few are of the second class, with some noise in the labels."""
    rows = circles.make_rows(8 * count, seed)
    draw = np.random.default_rng(seed)
    kept = np.flatnonzero((rows["label"] == 0) | (draw.random(len(rows["label"])) < RARE))[:count]
    rows = {name: values[kept] for name, values in rows.items()}
    rows["label"] = np.where(draw.random(count) < 0.05, 1 - rows["label"], rows["label"])
    return rows


def fit(how, validation, **changes):
    values = {"epochs": 10, "patience": 10, "label_smoothing": 0.0, "class_weight": how, **changes}
    parameters = TrainingParameters(
        **{**{name: getattr(circles.PARAMETERS, name) for name in ("seed", "batch_size", "learning_rate", "threads")},
           "network": circles.PARAMETERS.network, **values}
    )  # fmt: skip
    return train(Circles(), rows_of(1500, 1), validation, parameters, NoCheckpoints(), silent)


def test_balanced_gives_each_class_the_same_weight_and_a_row_one_on_average():
    labels = torch.tensor([0] * 90 + [1] * 10)
    weights = class_weights(labels, 2, "balanced")
    assert weights.tolist() == pytest.approx([100 / 180, 5.0])
    assert weights[labels].mean() == pytest.approx(1.0)
    assert class_weights(labels, 2, "none") is None
    assert class_weights(labels, 3, "balanced").tolist() == pytest.approx([100 / 180, 5.0, 1.0])


def test_the_probabilities_are_those_of_the_rows_as_they_are():
    validation = rows_of(3000, 2)
    for how in ("none", "balanced"):
        trained = fit(how, validation)
        logits = compute_logits(trained.network, read_features(Circles.schema, validation))
        told = torch.softmax(torch.from_numpy(logits), 1)[:, 1].mean().item()
        assert told == pytest.approx(validation["label"].mean(), abs=0.03), how
    weighted = compute_logits(trained.network.network, read_features(Circles.schema, validation))
    assert torch.softmax(torch.from_numpy(weighted), 1)[:, 1].mean() > 0.15 + validation["label"].mean()


def test_no_validation_row_is_weighted_or_resampled():
    validation = rows_of(500, 2)
    trained = fit("balanced", validation)
    logits = torch.from_numpy(compute_logits(trained.network, read_features(Circles.schema, validation)))
    assert len(logits) == 500
    plain = cross_entropy(logits, torch.from_numpy(validation["label"])).item()
    assert trained.best.validation_loss == plain


def test_the_weights_come_from_the_training_rows_alone():
    lopsided = rows_of(500, 2)
    lopsided["label"] = np.ones(500, np.int64)
    fair, other = fit("balanced", rows_of(500, 2), epochs=1), fit("balanced", lopsided, epochs=1)
    for name, tensor in fair.network.state_dict().items():
        assert torch.equal(tensor, other.network.state_dict()[name])
    assert fair.network.shift.exp().tolist() == pytest.approx(
        class_weights(torch.from_numpy(rows_of(1500, 1)["label"]), 2, "balanced").tolist()
    )


def test_a_network_that_learned_with_weights_is_exported_as_it_predicts():
    trained = fit("balanced", rows_of(300, 2), epochs=1)
    rows = rows_of(300, 3)
    model = export_onnx(trained.network, Circles.schema, 1.2)
    assert check_parity(trained.network, 1.2, Circles.schema, model, rows) < 1e-5


def test_without_weights_the_network_is_itself():
    network = torch.nn.Linear(1, 2)
    assert unweight(network, None) is network
    assert TrainingOptions().class_weight == "none"
