"""Code: which code a run's steps are made of, as one digest."""

from __future__ import annotations

import hashlib
import platform
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import noria
from noria.task import TakesFeatures, Task

# Libraries whose version can change a figure or a bundle's bytes.
LIBRARIES = ("numpy", "onnx", "onnxruntime", "onnxscript", "pyarrow", "torch", "torchvision")
FEATURE_LIBRARIES = ("duckdb", "feast")  # the same for a task that takes features
SUFFIXES = (".py", ".j2", ".yaml")


def code_digest(task: Task, project: Path) -> str:
    """Hash all code behind a step: this package less the command, the predictor, and the task's own package.

    Behind the steps of a task that takes features stands the feature repository as well.

    The versions of Python and of the libraries that compute are part of it.
    """
    digest = hashlib.sha256(platform.python_version().encode())
    takes_features = isinstance(task, TakesFeatures)
    for library in LIBRARIES + (FEATURE_LIBRARIES if takes_features else ()):
        try:
            digest.update(f"{library}={version(library)};".encode())
        except PackageNotFoundError:
            digest.update(f"{library} is not here;".encode())
    digest.update(sources_digest(task, project).encode())
    return digest.hexdigest()


def sources_digest(task: Task, project: Path) -> str:
    """Hash the sources alone: equal wherever they lie, in an image as in the folder that it was made from."""
    digest = hashlib.sha256()
    rooms = {Path(noria.__file__).parent, project / "serving", project / "cluster", _home_of(task)}
    if isinstance(task, TakesFeatures):
        rooms.add(project / "feature_repo")
    for root in sorted(rooms, key=lambda room: room.name):
        for path in _sources(root):
            digest.update(f"{path.relative_to(root)}\0".encode())
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def _home_of(task: Task) -> Path:
    """The folder of the top-level package that the task lives in, or its module's file."""
    top = sys.modules[type(task).__module__.partition(".")[0]]
    file = Path(str(top.__file__))
    return file.parent if file.name == "__init__.py" else file


def _sources(root: Path) -> Iterator[Path]:
    if root.is_file():
        yield root
        return
    command = Path(noria.__file__).parent / "cli"
    for path in sorted(root.rglob("*")):
        if path.suffix in SUFFIXES and command not in path.parents:
            yield path
