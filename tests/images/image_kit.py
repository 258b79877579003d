"""The images as these tests handle them: names, containers, and what a container is given."""

from __future__ import annotations

import json
import select
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from noria_command import Noria

import noria

PATIENCE = 60.0
# What a pod gets under the restricted Pod Security Standard, and a file system that cannot be written.
RESTRICTED = ("--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--tmpfs", "/tmp")
ANYONE = "65532"
# Rows that a champion of wine answers, as a V2 request.
QUESTION = {
    "inputs": [
        {"name": "alcohol", "datatype": "FP32", "shape": [2], "data": [12.5, 15.0]},
        {"name": "sulphur", "datatype": "FP64", "shape": [2], "data": [150.0, 10.0]},
        {"name": "age", "datatype": "INT64", "shape": [2], "data": [40, 3]},
        {"name": "acids", "datatype": "FP32", "shape": [2, 4], "data": [1, 2, 3, 4, 9, 8, 7, 6]},
    ]
}


@dataclass(frozen=True, kw_only=True)
class Images:
    """The images that were built, by role: from which revision, where their contents are told, what `make` said."""

    sboms: Path
    told: str
    revision: str
    names: dict[str, str] = field(
        default_factory=lambda: {
            "steps": f"noria/python-steps:{noria.__version__}",
            "serving": f"noria/serving:{noria.__version__}",
            "monitoring": f"noria/monitoring:{noria.__version__}",
        }
    )

    def __getitem__(self, role: str) -> str:
        return self.names[role]

    def inspect(self, role: str) -> dict[str, Any]:
        found: list[dict[str, Any]] = json.loads(docker("image", "inspect", self[role]))
        return found[0]

    def sh(self, role: str, program: str, *options: str) -> str:
        """What a shell program says in the image, run as a pod runs it."""
        return docker("run", "--rm", *RESTRICTED, *options, "--entrypoint", "sh", self[role], "-c", program)

    def python(self, role: str, program: str, *options: str) -> str:
        return docker("run", "--rm", *RESTRICTED, *options, "--entrypoint", "python3", self[role], "-c", program)


@dataclass(frozen=True, kw_only=True)
class Champion:
    """A champion that was trained on this machine, and its home; `folder` is another one that holds the bundle."""

    noria: Noria
    digest: str
    folder: Path | None = None

    @property
    def bundle(self) -> Path:
        assert self.noria.home
        return self.folder or self.noria.home / "objects" / "bundles" / self.digest

    @property
    def keys(self) -> Path:
        assert self.noria.home
        return self.noria.home / "keys" / "trusted"


@dataclass(frozen=True, kw_only=True)
class Served:
    """A predictor that is ready, wherever it runs; `container` is "" where it is a process of this machine."""

    url: str
    container: str = ""

    def ask(self) -> list[dict[str, Any]]:
        """The tensors that it answers the question with."""
        answer = httpx.post(f"{self.url}/v2/models/wine/infer", json=QUESTION, timeout=PATIENCE)
        assert answer.status_code == 200, answer.text
        outputs: list[dict[str, Any]] = answer.json()["outputs"]
        return outputs


def docker(*words: str) -> str:
    done = subprocess.run(["docker", *words], capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, f"docker {' '.join(words)}\n{done.stdout[-2000:]}{done.stderr[-4000:]}"
    return done.stdout


def engine_answers() -> str | None:
    """None where a Docker engine answers; else what is said instead."""
    try:
        done = subprocess.run(
            ["docker", "version", "--format", "{{.Server.Version}}"], capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        return "docker is not installed"
    return None if done.returncode == 0 else done.stderr.strip()


@contextmanager
def in_container(image: str, champion: Champion, *options: str, restricted: bool = True) -> Iterator[Served]:
    """The champion, served by the image on a free port of loopback."""
    words = ["docker", "run", "--rm", "--network", "host", *(RESTRICTED if restricted else ()), *options]
    words += ["--volume", f"{champion.bundle}:/mnt/models:ro", "--volume", f"{champion.keys}:/keys:ro", "--cidfile"]
    with _named() as file:
        command = [*words, str(file), image, "--bundle", "/mnt/models", "--name", "wine", "--trusted-keys", "/keys"]
        with _ready([*command, "--host", "127.0.0.1", "--http-port", "0"]) as url:
            yield Served(url=url, container=file.read_text())


@contextmanager
def in_process(champion: Champion) -> Iterator[Served]:
    """The same by the predictor of this folder."""
    command = [sys.executable, "-m", "serving", "--bundle", str(champion.bundle), "--name", "wine"]
    with _ready([*command, "--trusted-keys", str(champion.keys), "--http-port", "0"]) as url:
        yield Served(url=url)


@contextmanager
def _named() -> Iterator[Path]:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder) / "container"


@contextmanager
def _ready(command: list[str]) -> Iterator[str]:
    """Start it, wait for the line that it is ready, and end it with the block, by SIGTERM."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout
    try:
        assert select.select([process.stdout], [], [], PATIENCE)[0], "it said nothing"
        line = process.stdout.readline()
        if not line:
            raise AssertionError(process.communicate(timeout=PATIENCE)[1])
        yield f"http://127.0.0.1:{json.loads(line)['port']}"
    finally:
        process.terminate()
        process.communicate(timeout=PATIENCE)
