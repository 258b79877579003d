"""Doctor: is this machine and project fit for a run?"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from uuid import uuid4

from rich.text import Text

from noria.cli.doctor_cluster import cluster_checks
from noria.cli.doctor_doubts import UnneededError, UntoldError
from noria.cli.output import console, make_table, print_json
from noria.cli.project import enter_project
from noria.errors import NoriaError
from noria.settings import Settings
from noria.steps.workspace import Workspace
from noria.task import load_task, task_names

MARKS = {True: "[green]✓[/green]", False: "[red]✗[/red]", None: "[yellow]?[/yellow]"}
UNNEEDED = "[dim]–[/dim]"
NEEDED_BYTES = 2 * 2**30
LIBRARIES = ("grpcio", "httptools", "kfp", "numpy", "onnx", "onnxruntime", "pyarrow", "torch", "torchvision")


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that was looked at; `found` says what is there, or what to do.

    `well` is None where nobody can tell from here; what is not `needed` by the settings is no fault in any case.
    """

    what: str
    well: bool | None
    found: str
    needed: bool = True

    @property
    def mark(self) -> str:
        """What stands before it, for people."""
        return UNNEEDED if self.well and not self.needed else MARKS[self.well]


def examine(*, as_json: bool) -> int:
    """Look at everything a run needs; returns 1 if something is missing or broken, or may be so."""
    findings = [_look("Python", _python), _look("libraries", _libraries), _look("project", _project)]
    if findings[-1].well:  # what is kept lies there: without it there is nothing to look at
        findings += [_look(what, check) for what, check in CHECKS.items()]
        findings += [_look(f"source of {name}", partial(_source, name)) for name in task_names()]
        findings += [_look(f"ledger of {name}", partial(_ledger, name)) for name in task_names()]
        findings += _cluster()
    if as_json:
        print_json(findings)
    else:
        table = make_table("Doctor", ["", "what", "found"])
        for finding in findings:
            table.add_row(finding.mark, finding.what, Text(finding.found))
        console().print(table)
    return 0 if all(finding.well or not finding.needed for finding in findings) else 1


def _cluster() -> list[Finding]:
    try:
        checks = cluster_checks(Settings.from_environment())
    except NoriaError as error:
        return [Finding(what="cluster", well=False, found=str(error))]
    return [_look(what, check) for what, check in checks.items()]


def _look(what: str, check: Callable[[], str]) -> Finding:
    try:
        return Finding(what=what, well=True, found=check())
    except UnneededError as error:
        return Finding(what=what, well=error.well, found=str(error), needed=False)
    except UntoldError as error:
        return Finding(what=what, well=None, found=str(error))
    except (NoriaError, OSError) as error:
        return Finding(what=what, well=False, found=str(error))


def _python() -> str:
    return f"{sys.version.split()[0]} at {sys.executable}"


def _libraries() -> str:
    try:
        return ", ".join(f"{name} {version(name)}" for name in LIBRARIES)
    except PackageNotFoundError as error:
        raise NoriaError(f"{error.name} is not installed: run `make setup`") from error


def _project() -> str:
    return str(enter_project())


def _pipeline() -> str:
    from pipelines.compiling import COMPILED
    from pipelines.graph import read_graph

    return f"{read_graph(COMPILED).name}, {len(read_graph(COMPILED).steps)} steps"


def _home() -> str:
    home = Workspace.from_environment().settings.home
    home.mkdir(parents=True, exist_ok=True)
    probe = home / f".probe-{uuid4().hex}"
    probe.touch()
    probe.unlink()
    free = shutil.disk_usage(home).free
    if free < NEEDED_BYTES:
        raise NoriaError(f"{home} has {free / 2**30:.1f} GiB free: a run wants 2; make room, or set NORIA_HOME")
    return f"{home}, {free / 2**30:.0f} GiB free"


def _objects() -> str:
    workspace = Workspace.from_environment()
    key = f"probe/{uuid4().hex}"
    workspace.store.put(key, b"noria")
    if workspace.store.get(key) != b"noria":
        raise NoriaError(f"{workspace.settings.objects} gave back other bytes than it got: look at that store")
    workspace.store.delete(key)
    return f"{workspace.settings.objects}: written, read, deleted"


def _keys() -> str:
    workspace = Workspace.from_environment()
    signer = workspace.signer
    trusted = workspace.trusted.key_ids()
    if signer.key_id not in trusted:
        raise NoriaError(
            f"key {signer.key_id[:12]} signs here and is not trusted: add it to {workspace.settings.trusted_keys}"
        )
    return f"signs as {signer.key_id[:12]}, trusts {len(trusted)}"


def _source(name: str) -> str:
    workspace = Workspace.from_environment()
    task = load_task(name)
    place = workspace.source_of(task)
    return f"{place or 'known to the task'}, fingerprint {task.fingerprint(place)[:12]}"


def _ledger(name: str) -> str:
    ledger = Workspace.from_environment().ledger(name)
    problems = ledger.verify()
    if problems:
        raise NoriaError(f"{len(problems)} problems, first: {problems[0]}; run `noria releases verify --task {name}`")
    return f"{len(ledger.entries())} entries, whole"


CHECKS: dict[str, Callable[[], str]] = {
    "compiled pipeline": _pipeline,
    "home": _home,
    "object store": _objects,
    "keys": _keys,
}
