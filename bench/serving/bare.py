"""Bare: ONNX Runtime alone, as the predictor runs it; `python -m bench.serving.bare MODEL COUNT`.

Prints the microseconds of the middle one of COUNT calls for one picture.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np

from noria.ml.inference import Session


def time_calls(model: Path, count: int) -> list[float]:
    session = Session.load(model.read_bytes())
    (spec,) = session.inputs
    rows = {spec.name: np.zeros((1, *(size or 1 for size in spec.shape[1:])), spec.dtype)}
    taken = []
    for _ in range(count):
        started = time.perf_counter()
        session.run(rows)
        taken.append((time.perf_counter() - started) * 1e6)
    return taken


if __name__ == "__main__":
    print(sorted(time_calls(Path(sys.argv[1]), int(sys.argv[2])))[int(sys.argv[2]) // 2])
