"""Make the environments of the peers that serve: `python -m bench.peers [NAME ...]`; `--pin` pins them again first."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
ENVIRONMENTS = Path(".bench")  # where nothing is committed
NAMES = sorted(path.parent.name for path in HERE.glob("*/requirements.txt"))
UV = str(Path(sys.executable).with_name("uv"))
PIN = ("--quiet", "--upgrade", "--no-emit-index-url", "--no-emit-find-links", "--no-annotate", "--no-header")


def uv_environment() -> dict[str, str]:
    """A folder of wheels that pip is given serves uv as well."""
    folders = os.environ.get("PIP_FIND_LINKS")
    return {**os.environ, "UV_FIND_LINKS": folders} if folders else dict(os.environ)


def cpu_build() -> list[str]:
    """Torch comes as its CPU build, from the folder of wheels where there is one."""
    return [] if os.environ.get("PIP_FIND_LINKS") else ["--torch-backend", "cpu"]


def pin_requirements(name: str) -> None:
    """Write requirements.txt from requirements.in, every package of it with its version."""
    wanted, pinned = HERE / name / "requirements.in", HERE / name / "requirements.txt"
    command = [UV, "pip", "compile", *PIN, *cpu_build(), "--python-version", "3.11", wanted, "-o", pinned]
    subprocess.run(command, check=True, env=uv_environment(), stdout=subprocess.DEVNULL)
    pinned.write_text(pinned.read_text().replace("+cpu", ""))


def make_environment(name: str, into: Path = ENVIRONMENTS) -> None:
    """Install the peer's pinned requirements; nothing is done where they are installed already."""
    requirements = HERE / name / "requirements.txt"
    wanted = hashlib.sha256(requirements.read_bytes()).hexdigest()
    folder = into / name
    made = folder / ".installed"
    if made.exists() and made.read_text() == wanted:
        return
    print(f"peers: {name}", file=sys.stderr, flush=True)
    install = [UV, "pip", "install", "--quiet", "--compile-bytecode", *cpu_build()]
    subprocess.run([UV, "venv", "--quiet", "--clear", "--python", sys.executable, folder], check=True)
    command = [*install, "--python", folder / "bin" / "python", "-r", requirements]
    subprocess.run(command, check=True, env=uv_environment())
    made.write_text(wanted)


def main(words: list[str]) -> None:
    names = [word for word in words if word != "--pin"]
    if strange := sorted(set(names) - set(NAMES)):
        raise SystemExit(f"no peer {', '.join(strange)}: there are {', '.join(NAMES)}")
    for name in names or NAMES:
        if "--pin" in words:
            pin_requirements(name)
        make_environment(name)


if __name__ == "__main__":
    main(sys.argv[1:])
