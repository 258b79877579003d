"""Circles: a small tabular task that is made up, and a program that trains on it until somebody ends the program.

`python circles.py FOLDER` trains with its checkpoint in FOLDER, tells its progress line by line, and waits for a line
on standard input within epoch 3, so that a test can kill it there.
"""

import sys
from pathlib import Path

import numpy as np
import torch
from torch import nn

from noria.ml.loop import train
from noria.ml.training import TrainingParameters
from noria.schema import Column, Schema

PARAMETERS = TrainingParameters(
    seed=7, epochs=6, batch_size=32, learning_rate=0.02, patience=6, threads=1, network={"width": 24}
)


class CirclesNetwork(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(4, width), nn.BatchNorm1d(width), nn.ReLU(), nn.Dropout(0.1), nn.Linear(width, 2)
        )

    def forward(self, east, north, steps, inside):
        columns = [east, north, steps.float() / 10, inside.float()]
        return self.layers(torch.stack(columns, dim=1))


class Circles:
    """Is a point nearer to the origin than one? Two coordinates, and two columns of other types that say nothing."""

    name = "circles"
    classes = ("far", "near")
    schema = Schema(
        columns=(
            Column(name="id", type="string", role="id"),
            Column(name="time", type="timestamp", role="time"),
            Column(name="east", type="float32", role="feature"),
            Column(name="north", type="float32", role="feature"),
            Column(name="steps", type="int64", role="feature"),
            Column(name="inside", type="bool", role="feature"),
            Column(name="label", type="int64", role="label"),
        )
    )

    def build_network(self, options):
        return CirclesNetwork(int(options["width"]))

    def augment(self, features, generator):
        east, north, *others = features
        return (east + 0.01 * torch.randn(east.shape, generator=generator), north, *others)


def make_rows(count, seed):
    draw = np.random.default_rng(seed)
    east, north = draw.uniform(-1.5, 1.5, (2, count)).astype(np.float32)
    return {
        "east": east,
        "north": north,
        "steps": draw.integers(0, 20, count),
        "inside": draw.random(count) < 0.5,
        "label": (east**2 + north**2 < 1).astype(np.int64),
    }


class FileCheckpoints:
    def __init__(self, folder):
        self.path = Path(folder) / "checkpoint"

    def load(self):
        return self.path.read_bytes() if self.path.exists() else None

    def save(self, data):
        part = self.path.with_suffix(".part")
        part.write_bytes(data)
        part.replace(self.path)


def tell_and_wait(text, done):
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
    if text.startswith("epoch 3/6  training loss"):
        sys.stdin.readline()


if __name__ == "__main__":
    train(Circles(), make_rows(400, 1), make_rows(200, 2), PARAMETERS, FileCheckpoints(sys.argv[1]), tell_and_wait)
