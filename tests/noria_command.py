"""`noria` as a person types it: the installed command in the project's folder, with a home of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
COMMAND = Path(sys.executable).with_name("noria")
OUTSIDER = ROOT / "tests" / "outsider"
TIMEOUT = 240
RUN = ("run", "--task", "wine", "--json", "--param", "threads=1")


@dataclass(frozen=True, kw_only=True)
class Done:
    """What a command came to."""

    code: int
    out: str
    err: str

    @property
    def told(self) -> Any:
        """Its JSON; whatever else it printed fails here."""
        return json.loads(self.out)


@dataclass(frozen=True, kw_only=True)
class Noria:
    """The command in one home; `site` holds the outsider's package, `settings` is added to the environment.

    Without a home it is the project's own. `folder` is where the command is given: anywhere in a project.
    """

    home: Path | None
    site: Path
    folder: Path = ROOT
    settings: dict[str, str] = field(default_factory=dict)

    def with_settings(self, **settings: str) -> Noria:
        return replace(self, settings={**self.settings, **settings})

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("NORIA_")}
        home = {"NORIA_HOME": str(self.home)} if self.home else {}
        return {**kept, "PYTHONPATH": str(self.site), **home, **self.settings}

    def start(self, *words: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [str(COMMAND), *words], cwd=self.folder, env=self.environment, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def __call__(self, *words: str) -> Done:
        process = self.start(*words)
        out, err = process.communicate(timeout=TIMEOUT)
        return Done(code=process.returncode, out=out, err=err)

    def run(self, *words: str) -> Done:
        """`noria run --task wine --json`, on one thread, for tests run side by side and waiting threads spin."""
        return self(*RUN, *words)

    def ledger(self) -> list[dict[str, Any]]:
        done = self("releases", "--task", "wine", "--json")
        assert done.code == 0, done.err
        entries: list[dict[str, Any]] = done.told
        return entries


def install_outsider(folder: Path) -> Path:
    """Install the outsider's package into the folder, as its user would, and without a network."""
    uv = Path(sys.executable).with_name("uv")
    subprocess.run(
        [uv, "pip", "install", "--quiet", "--offline", "--no-cache", "--no-deps", "--no-build-isolation",
         "--python", sys.executable, "--target", folder, OUTSIDER],
        check=True,
    )  # fmt: skip
    return folder
