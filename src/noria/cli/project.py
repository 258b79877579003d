"""Project: the folder that the command works in."""

from __future__ import annotations

import os
import sys
import tomllib
from functools import cache
from pathlib import Path

from noria.errors import UsageError
from noria.steps.workspace import Workspace


def find_project(start: Path | None = None) -> Path:
    """Find the project folder at or above `start`: the one whose pyproject.toml has the table [tool.noria]."""
    here = (start or Path.cwd()).resolve()
    for folder in (here, *here.parents):
        file = folder / "pyproject.toml"
        if file.is_file() and "noria" in tomllib.loads(file.read_text()).get("tool", {}):
            return folder
    raise UsageError(
        f"{here} is in no Noria project: no pyproject.toml with a table [tool.noria] here or above. "
        "Change into the folder of one, such as a clone of Noria"
    )


@cache
def started_in() -> Path:
    """The folder that the person stands in: the working folder when first asked for, before the command leaves it."""
    return Path.cwd()


def enter_project() -> Path:
    """Go to the project's root and make its programs (pipelines, components, serving) importable."""
    started_in()
    folder = find_project()
    os.chdir(folder)  # programs of the project run from its root, and what is kept lies there
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    return folder


def open_workspace() -> Workspace:
    """Open the project's stores and keys, from whichever of its folders the command is given."""
    enter_project()
    return Workspace.from_environment()
