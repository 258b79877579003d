"""Wine: which of three grades does a laboratory's measurement mean? The data are made, by the task, from a seed."""

from collections.abc import Mapping

import numpy as np

from noria.ml.baselines import fit_nearest_mean
from noria.ml.dataset import table_of
from noria.schema import Column, Schema
from noria.task import Task, Value


class Wine(Task):
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

    def read(self, source, window):
        random, rows = np.random.default_rng(7), 6000  # 100 a day
        made = {
            "id": np.array([f"bottle-{row:05d}" for row in range(rows)], object),
            "time": np.datetime64("2026-01-01", "us") + np.arange(rows) * np.timedelta64(864, "s"),
            "alcohol": random.uniform(8, 16, rows).astype(np.float32),
            "sulphur": random.uniform(0, 400, rows),
            "age": random.integers(0, 61, rows),
            "acids": random.uniform(0, 10, (rows, 4)).astype(np.float32),
        }
        quality = made["alcohol"] / 2 - np.abs(made["sulphur"] - 150) / 100 + made["age"] / 30 - made["acids"][:, 0] / 8
        made["grade"] = np.digitize(quality + random.normal(0, 0.03, rows), (4.5, 6.0))
        inside = window.holds(made["time"])
        yield table_of(self.schema, {name: values[inside] for name, values in made.items()})

    def build_network(self, options):
        from torch import nn

        from noria.tasks.tabular import TabularNetwork

        return TabularNetwork(self.schema, nn.Sequential(nn.Linear(7, 64), nn.ReLU(), nn.Linear(64, 3)))

    def fit_rule(self, features, labels):
        by_alcohol = fit_nearest_mean(features["alcohol"][:, None], labels, len(self.classes))
        return lambda rows: by_alcohol(rows["alcohol"][:, None])

    def slices(self, rows):
        return {"young": rows["age"] < 12, "old": rows["age"] >= 36, "strong": rows["alcohol"] > 14}
