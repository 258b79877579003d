"""Fixtures of the images: built once, asked as containers; where no Docker engine answers, the tests are skipped."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from image_kit import Champion, Images, docker, engine_answers
from noria_command import ROOT, Noria


@pytest.fixture(scope="session")
def engine() -> None:
    found = engine_answers()
    if found is not None:
        pytest.skip(f"no Docker engine answers: {found}")


@pytest.fixture(scope="session")
def images(engine: None, tmp_path_factory: pytest.TempPathFactory) -> Images:
    """All images, built for real; BUILD_FLAGS of the environment reach `docker build`."""
    sboms = tmp_path_factory.mktemp("sboms")
    environment = {**os.environ, "SBOMS": str(sboms)}
    asked = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False)
    built = subprocess.run(["make", "images"], cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stdout[-3000:] + built.stderr[-3000:]
    return Images(sboms=sboms, told=built.stdout, revision=asked.stdout.strip() or "unknown")


@pytest.fixture(scope="session")
def champion(wine_site: Path, tmp_path_factory: pytest.TempPathFactory) -> Champion:
    """A champion of wine, trained on this machine."""
    noria = Noria(home=tmp_path_factory.mktemp("trained") / "home", site=wine_site)
    done = noria.run()
    assert done.code == 0, done.err
    return Champion(noria=noria, digest=done.told["bundle"])


@pytest.fixture(scope="session")
def wine_image(images: Images, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The steps image with the outsider's package, as its user would make it: a file and a folder more."""
    context = tmp_path_factory.mktemp("wine-image")
    outsider = ROOT / "tests" / "outsider"
    lines = [
        f"FROM {images['steps']}",
        "COPY noria_wine /opt/venv/lib/python3.11/site-packages/noria_wine",
        "COPY noria_wine.dist-info /opt/venv/lib/python3.11/site-packages/noria_wine-1.0.dist-info",
    ]
    (context / "Dockerfile").write_text("\n".join(lines) + "\n")
    subprocess.run(["cp", "-r", str(outsider / "noria_wine"), str(context)], check=True)
    information = context / "noria_wine.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: noria-wine\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text("[noria.tasks]\nwine = noria_wine:Wine\n")
    name = "noria-tests/python-wine:1.0"
    docker("build", "--quiet", "--tag", name, str(context))
    yield name
    docker("rmi", "--force", name)
