"""Quick import: what is left out of Feast's import, and that it is there for who asks for it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
JOIN = """
import sys, tempfile
from pathlib import Path
import pyarrow as pa, pyarrow.parquet as pq
from feature_repo.training import join_features
from noria.tasks.fashion_statistics import SERVICE, VIEW
stamps = pa.array([0], pa.timestamp("us", tz="UTC"))
with tempfile.TemporaryDirectory() as folder:
    row = {"item": ["a"], "event_timestamp": stamps, **{field.name: [1.5] for field in VIEW.fields}}
    pq.write_table(pa.table(row), Path(folder) / "item_statistics.parquet")
    asked = pa.table({"item": ["a"], "event_timestamp": stamps, "__row": [0]})
    print(join_features(asked, Path(folder), SERVICE)["ink"].to_pylist(), "torch" in sys.modules)
"""
AFTERWARDS = """
import feature_repo, sys, typeguard
from feast.torch_wrapper import get_torch

@typeguard.typechecked
def double(number: int) -> int:
    return 2 * number

try:
    double("a")
except typeguard.TypeCheckError:
    print("checked", get_torch() is sys.modules["torch"])
"""
LATE = """
import feast, feast.torch_wrapper as door
before = door.get_torch
import feature_repo
print(before is door.get_torch)
"""


@pytest.fixture
def run(tmp_path: Path) -> Callable[[str], str]:
    """Runs a program, from a file, as typeguard has to read it."""

    def run(code: str) -> str:
        (tmp_path / "program.py").write_text(code)
        done = subprocess.run(
            [sys.executable, tmp_path / "program.py"], env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    return run


def test_a_join_needs_no_torch(run: Callable[[str], str]) -> None:
    assert run(JOIN) == "[1.5] False"


def test_torch_comes_when_it_is_asked_for_and_others_types_are_checked_as_ever(run: Callable[[str], str]) -> None:
    assert run(AFTERWARDS) == "checked True"


def test_a_feast_that_is_there_already_is_left_as_it_is(run: Callable[[str], str]) -> None:
    assert run(LATE) == "True"
