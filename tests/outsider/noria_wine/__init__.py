"""Wine: which of three grades does a laboratory's measurement mean? The data are made, by the task, from a seed."""

import hashlib
from collections.abc import Mapping

import numpy as np

from noria.ml.dataset import table_of
from noria.schema import Column, Schema
from noria.task import Value

SEED, DAYS, A_DAY = 7, 60, 100
FIRST_DAY = np.datetime64("2026-01-01", "us")


class Wine:
    name = "wine"
    classes = ("plain", "good", "fine")
    costs = ((0.0, 1.0, 4.0), (1.0, 0.0, 2.0), (3.0, 1.0, 0.0))  # plain wine sold as fine costs the most
    schema = Schema(
        columns=(
            Column(name="id", type="string", role="id"),
            Column(name="time", type="timestamp", role="time", unit="UTC"),
            Column(name="alcohol", type="float32", role="feature", unit="% vol", minimum=8, maximum=16),
            Column(name="sulphur", type="float64", role="feature", unit="mg/l", minimum=0, maximum=400),
            Column(name="age", type="int64", role="feature", unit="months", minimum=0, maximum=60),
            Column(name="acids", type="float32", role="feature", shape=(4,), unit="g/l", minimum=0, maximum=10),
            Column(name="grade", type="int64", role="label", minimum=0, maximum=2),
        )
    )
    defaults: Mapping[str, Value] = {
        "start": "2026-01-01", "end": "2026-03-02", "validation_days": 10, "holdout_days": 15,
        "epochs": 12, "batch_size": 64, "learning_rate": 0.02, "patience": 4,
    }  # fmt: skip

    def fingerprint(self, source):
        return hashlib.sha256(f"made from {SEED}, {DAYS} days of {A_DAY}".encode()).hexdigest()

    def read(self, source, window):
        random, rows = np.random.default_rng(SEED), DAYS * A_DAY
        made = {
            "id": np.array([f"bottle-{row:05d}" for row in range(rows)], object),
            "time": FIRST_DAY + np.arange(rows) * (np.timedelta64(1, "D").astype("timedelta64[us]") // A_DAY),
            "alcohol": random.uniform(8, 16, rows).astype(np.float32),
            "sulphur": random.uniform(0, 400, rows),
            "age": random.integers(0, 61, rows),
            "acids": random.uniform(0, 10, (rows, 4)).astype(np.float32),
        }
        quality = made["alcohol"] / 2 - np.abs(made["sulphur"] - 150) / 100 + made["age"] / 30 - made["acids"][:, 0] / 8
        made["grade"] = np.digitize(quality + random.normal(0, 0.03, rows), (4.5, 6.0))
        start, end = (np.datetime64(at.replace(tzinfo=None), "us") for at in (window.start, window.end))
        inside = (made["time"] >= start) & (made["time"] < end)
        yield table_of(self.schema, {name: values[inside] for name, values in made.items()})

    def build_network(self, options):
        import torch
        from torch import nn

        class Grader(nn.Module):
            def __init__(self):
                super().__init__()
                self.layers = nn.Sequential(nn.Linear(7, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 3))

            def forward(self, alcohol, sulphur, age, acids):
                numbers = torch.stack([alcohol / 4 - 3, sulphur.float() / 100 - 2, age.float() / 15 - 2], dim=1)
                return self.layers(torch.cat([numbers, acids / 2.5 - 2], dim=1))

        return Grader()

    def augment(self, features, generator):
        return features  # a measurement is what it is

    def fit_rule(self, features, labels):
        def strength(rows):
            return np.digitize(rows["alcohol"], (10, 11, 12, 13, 14))

        counts = [np.bincount(labels[strength(features) == step], minlength=3) + 1 for step in range(6)]
        shares = np.array([count / count.sum() for count in counts])
        return lambda rows: shares[strength(rows)]

    def slices(self, rows):
        return {"young": rows["age"] < 12, "old": rows["age"] >= 36, "strong": rows["alcohol"] > 14}
