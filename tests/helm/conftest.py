"""Fixtures of the chart's tests: a predictor as the ServingRuntime starts it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

# The predictor of a test lives beside the predictor's own tests.
sys.path.append(str(Path(__file__).parents[1] / "serving"))

if TYPE_CHECKING:
    from predictor import Predictor


@pytest.fixture(scope="session")
def signed_bundle(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A bundle whose model takes features from a store, and the home whose key signed it."""
    from airline import FACTS, make_airline_model

    from noria.ml.bundle import write_bundle
    from noria.ml.signature import make_key

    home = tmp_path_factory.mktemp("home")
    folder = tmp_path_factory.mktemp("models") / "bundle"
    signer = make_key(home / "keys")
    write_bundle(folder, model=make_airline_model(), facts=FACTS, profile=b"{}", signer=signer)
    return folder, home


@pytest.fixture(scope="session")
def running(signed_bundle: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Predictor]:
    """The predictor, started with what the ServingRuntime says, but for the places of a pod."""
    from predictor import predictor
    from rendered import of_kind

    bundle, home = signed_bundle
    arguments = of_kind("dev", "ServingRuntime")[0]["spec"]["containers"][0]["args"]
    here = {
        "--bundle": bundle,
        "--name": "airline",
        "--host": "127.0.0.1",
        "--http-port": 0,
        "--grpc-port": 0,
        "--trusted-keys": home / "keys" / "trusted",
        "--online": tmp_path_factory.mktemp("online") / "online.db",
    }
    pairs = [each.partition("=")[::2] for each in arguments]
    given = [f"{name}={here.get(name, value)}" for name, value in pairs if name != "--online-password-file"]
    assert set(here) <= {name for name, _ in pairs}
    with predictor([*given, "--drain-seconds=0"], home) as started:
        yield started
