"""Laptop: run the compiled pipeline, the very file that a cluster gets, in processes or containers of this machine."""

from __future__ import annotations

import contextlib
import io
import logging
import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from noria.errors import NoriaError
from noria.stores.objects import ObjectStore

if TYPE_CHECKING:
    from pipelines.containers import Containers

CACHE_HIT = re.compile(r"Task '?([a-z0-9-]+)'? cache hit")
FAILED_STEP = re.compile(r"Inner task failed: '([^']+)'")
COLOUR = re.compile(r"\x1b\[[0-9;]*m")


class Lines(io.TextIOBase):
    """A stream that hands on whole lines, without kfp's colours."""

    def __init__(self, listen: Callable[[str], None]) -> None:
        self._listen = listen
        self._rest = ""

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            self._listen(COLOUR.sub("", line))
        return len(text)


def cached_step(line: str) -> str | None:
    """The step that kfp.local says it took from its cache; None if the line says nothing of the kind."""
    found = CACHE_HIT.search(line)
    return found.group(1) if found else None


def run(
    compiled: Path,
    arguments: Mapping[str, Any],
    *,
    home: Path,
    cache: Path,
    store: ObjectStore,
    listen: Callable[[str], None],
    containers: Containers | None = None,
) -> dict[str, Path]:
    """Run the pipeline to its end; returns where the artifacts lie that the pipeline as a whole puts out, by name.

    Each step is a process of this machine or, with `containers`, a container.

    `listen` gets every line that the pipeline and its steps print, and may raise to end the run: a step that said why
    it failed is not tried again. Steps whose inputs did not change are taken from `cache`, which belongs to the object
    store `store`, as long as what they published is still there. Raises NoriaError for a step that ended without a
    word.
    """
    from kfp import components, local

    from pipelines.cache import use_checked_cache

    hearing = contextlib.redirect_stdout(Lines(listen)), _hear_logs(listen)
    with warnings.catch_warnings(), hearing[0], hearing[1], _runner(containers) as runner:
        warnings.simplefilter("ignore")  # kfp's own, about its coming releases
        local.init(
            runner=runner,
            pipeline_root=str(home / "pipeline"),
            raise_on_error=True,
            enable_caching=True,
            cache_root=str(cache),
        )
        use_checked_cache(cache, store)
        pipeline = components.load_component_from_text(_compiled(compiled, containers))
        try:
            task = pipeline(**arguments)
        except RuntimeError as error:
            found = FAILED_STEP.search(COLOUR.sub("", str(error)))
            what = (
                f"step {found.group(1)} ended without a word: it was killed, or the machine ran out of memory"
                if found
                else str(error)
            )
            raise NoriaError(f"{what}. Look at the log, and run again: finished steps are not repeated") from error
    return {name: Path(artifact.path) for name, artifact in task.outputs.items()}


def _runner(containers: Containers | None) -> AbstractContextManager[Any]:
    from kfp import local

    if containers is None:
        return contextlib.nullcontext(local.SubprocessRunner(use_venv=False))
    from pipelines.containers import steps_in_containers

    return steps_in_containers(containers)


def _compiled(path: Path, containers: Containers | None) -> str:
    """The compiled pipeline; in containers of another image, with that one's name."""
    text = path.read_text()
    if containers is None:
        return text
    from components.step import IMAGE

    return text.replace(f"image: {IMAGE}\n", f"image: {containers.image}\n")


class _Hearing(logging.Handler):
    def __init__(self, listen: Callable[[str], None]) -> None:
        super().__init__(logging.INFO)
        self._listen = listen

    def emit(self, record: logging.LogRecord) -> None:
        self._listen(COLOUR.sub("", record.getMessage()))


@contextlib.contextmanager
def _hear_logs(listen: Callable[[str], None]) -> Iterator[None]:
    """Hear kfp.local's log between the steps, too, where it says what it takes from the cache."""
    root, handler = logging.getLogger(), _Hearing(listen)
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    try:
        yield
    finally:
        root.setLevel(level)
        root.removeHandler(handler)
