"""Peers: how each server is started, what it speaks, and how it is asked."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from bench.peers.__main__ import ENVIRONMENTS, HERE
from bench.serving.models import TORCH_FILE, Model
from bench.serving.questions import Protocol
from noria import __version__

V2: dict[Protocol, str] = {"V2 binary": "/v2/models/{name}/infer", "V2 JSON": "/v2/models/{name}/infer"}
BODY_BYTES = 64 * 2**20  # 32 pictures of 3 × 224 × 224 and their header need 20


@dataclass(frozen=True, kw_only=True, eq=False)
class Peer:
    """One server program; `paths` has an address for each protocol it speaks."""

    name: str
    title: str
    package: str
    paths: dict[Protocol, str]
    words: tuple[str, ...] = ("server.py",)
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        return (ENVIRONMENTS / self.name).resolve()

    def missing(self) -> str | None:
        """Why it cannot be measured here, if it cannot."""
        if not (self.folder / ".installed").exists():
            return "its environment is missing; `make bench-peers` makes it"
        if self.name == "torchserve" and subprocess.run(["which", "java"], capture_output=True, check=False).returncode:
            return "it needs a Java runtime; `apt-get install openjdk-17-jre-headless` brings one"
        return None

    def command(self, ports: tuple[int, int, int], model: Model) -> list[str]:  # noqa: ARG002 - as for Noria
        python = str(self.folder / "bin" / "python")
        return [python, *(word.format(port=ports[0]) for word in self.words)]

    def variables(self, ports: tuple[int, int, int], model: Model) -> dict[str, str]:
        named = dict(zip(("BENCH_PORT", "BENCH_SECOND_PORT", "BENCH_THIRD_PORT"), map(str, ports), strict=True))
        file = model.bundle.with_name(TORCH_FILE) if self.name == "kserve+torch" else model.file
        told = {"BENCH_NAME": model.name, "BENCH_MODEL": str(file.resolve()), **named}
        return {**told, "PYTHONPATH": str(HERE / "session"), **self.environment}

    @property
    def workplace(self) -> Path:
        return HERE / self.name

    def version(self) -> str:
        code = f"from importlib.metadata import version; print(version({self.package!r}))"
        command = [self.folder / "bin" / "python", "-c", code]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


class Noria(Peer):
    """The predictor as it stands in this tree."""

    def missing(self) -> str | None:
        return None

    def command(self, ports: tuple[int, int, int], model: Model) -> list[str]:
        words = ["--bundle", str(model.bundle.resolve()), "--name", model.name, "--http-port", str(ports[0])]
        return [sys.executable, "-m", "serving", *words, "--max-body-bytes", str(BODY_BYTES)]

    def variables(self, ports: tuple[int, int, int], model: Model) -> dict[str, str]:  # noqa: ARG002 - as for a peer
        return {"NORIA_HOME": str(model.bundle.parent.resolve())}

    @property
    def workplace(self) -> Path:
        return HERE.parents[1]

    def version(self) -> str:
        return __version__


class KServeTorch(Peer):
    """KServe's server with torch in it, which is what most of them start with."""

    @property
    def folder(self) -> Path:
        return (ENVIRONMENTS / "kserve").resolve()

    @property
    def workplace(self) -> Path:
        return HERE / "kserve"


PLAIN: dict[Protocol, str] = {"plain JSON": "/predict"}
BENTO = ("-m", "bentoml", "serve", "server:Predictor", "--host", "127.0.0.1", "--port", "{port}")
QUIET = {"BENTOML_DO_NOT_TRACK": "True"}
NORIA = Noria(name="noria", title="Noria", package="noria", paths=V2)
KSERVE = Peer(name="kserve", title="KServe", package="kserve", paths=V2)
KSERVE_TORCH = KServeTorch(name="kserve+torch", title="KServe with torch", package="kserve", paths=V2)
OTHERS = (
    Peer(name="litserve", title="LitServe", package="litserve", paths=PLAIN),
    Peer(name="bentoml", title="BentoML", package="bentoml", paths=PLAIN, words=BENTO, environment=QUIET),
    Peer(name="mlserver", title="MLServer", package="mlserver", paths={"V2 JSON": V2["V2 JSON"]}),
    Peer(name="ray", title="Ray Serve", package="ray", paths=PLAIN, environment={"RAY_USAGE_STATS_ENABLED": "0"}),
    Peer(name="torchserve", title="TorchServe", package="torchserve", paths={"plain JSON": "/predictions/{name}"}),
)
