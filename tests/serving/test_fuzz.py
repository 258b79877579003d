"""The fuzzer: it runs, it starts from requests that are read, and it notices a broken parser."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from fuzz import protocol_target
from fuzz.seeds import make_seeds
from serving.protocol import RequestReader
from serving.refusal import RequestError

ROOT = Path(__file__).parents[2]
SECONDS = 30


def test_no_parser_breaks_in_half_a_minute():
    command = [sys.executable, "-m", "fuzz", "--seconds", str(SECONDS)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=8 * SECONDS, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    runs = next(line for line in done.stderr.splitlines() if line.startswith("stat::number_of_executed_units"))
    assert int(runs.split()[-1]) > 1000


def test_the_fuzzer_starts_from_requests_that_are_read(monkeypatch: pytest.MonkeyPatch):
    read = []
    monkeypatch.setattr(protocol_target, "_check_answer", read.append)
    for seed in make_seeds():
        protocol_target.check(seed)
    assert len(read) >= 6 * len(protocol_target.MODELS)


def _raise(*_: object) -> None:
    raise KeyError("x")


def _read_as_another_type(reader: RequestReader, body: bytes, length: int | None):
    request = READ_V2(reader, body, length)
    return type(request)(
        id=request.id,
        rows=request.rows,
        outputs=request.outputs,
        features={name: np.asarray(array, object) for name, array in request.features.items()},
    )


def _refuse_without_words(*_: object) -> None:
    raise RequestError("")


READ_V2 = RequestReader.read_v2


@pytest.mark.parametrize("fault", [_raise, _read_as_another_type, _refuse_without_words])
def test_a_reader_at_fault_is_noticed(monkeypatch: pytest.MonkeyPatch, fault):
    seed = next(make_seeds())
    monkeypatch.setattr(RequestReader, "read_v2", fault)
    with pytest.raises((AssertionError, KeyError)):
        protocol_target.check(seed)
