"""Predict: ask the champion about one item."""

from __future__ import annotations

import http.client
from pathlib import Path
from urllib.parse import urlsplit

from noria.cli.asking import Asked, champion_bundle, dataset_row, tell
from noria.cli.output import console, make_table, print_json
from noria.cli.project import enter_project
from noria.cli.whose_ledger import beginning
from noria.errors import NoriaError, UsageError
from noria.ml.bundle import Bundle
from noria.steps.served import TIMEOUT_SECONDS, Answer, Client, serving
from noria.steps.workspace import Workspace
from noria.task import ReadsItems, Rows, load_task


def predict_one(task: str, *, image: Path | None, row: int | None, url: str, as_json: bool) -> None:
    """Ask about a file or a row of the champion's dataset, at a running predictor or at one started for it."""
    if (image is None) == (row is None):
        raise UsageError("give one of --image FILE and --row N: what is to be predicted?")
    if row is not None and row < 0:
        raise UsageError(f"row {row}: expected a row from 0")
    image = image.resolve() if image else None
    project = enter_project()
    workspace = Workspace.from_environment()
    bundle = champion_bundle(workspace, task)
    if bundle is None:
        raise NoriaError(f"task {task} has no champion yet: {beginning(workspace.settings, task)}")
    place, features, truth = _features(workspace, bundle, image, row)
    asked = tell(_ask(bundle, features, url, project), bundle, row=place, truth=truth)
    if as_json:
        print_json(asked)
    else:
        _show(asked)


def _features(workspace: Workspace, bundle: Bundle, image: Path | None, row: int | None) -> tuple[int, Rows, str]:
    if row is not None:
        return dataset_row(workspace, bundle, row)
    task = load_task(bundle.facts.task)
    if image is None or not isinstance(task, ReadsItems):
        raise UsageError(f"task {bundle.facts.task} reads no files: ask with --row N")
    return -1, task.read_item(image), ""


def _ask(bundle: Bundle, features: Rows, url: str, project: Path) -> Answer:
    name = bundle.facts.task
    if not url:
        arguments = ["--bundle", str(bundle.folder), "--name", name]
        with serving(arguments, model=name, schema=bundle.facts.schema, root=project) as client:
            return client.ask(features)
    host, port = _place_of(url)
    connection = http.client.HTTPConnection(host, port, timeout=TIMEOUT_SECONDS)
    try:
        return Client(connection=connection, model=name, schema=bundle.facts.schema).ask(features)
    finally:
        connection.close()


def _place_of(url: str) -> tuple[str, int]:
    """Host and port of a predictor's address; UsageError where it has none."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or 80
    except ValueError:  # a port that is no number
        parts, host, port = None, "", 0
    if parts is None or parts.scheme != "http" or not host:
        raise UsageError(f"--url {url!r} is no address of a predictor: write, for example, http://127.0.0.1:8080")
    return host, port


def _show(asked: Asked) -> None:
    table = make_table(f"{asked.decision}  ({asked.probability:.1%})", ["class", "probability"])
    for name, share in sorted(asked.probabilities.items(), key=lambda item: -item[1])[:5]:
        table.add_row(name, f"{share:.4f}")
    screen = console()
    screen.print(table)
    if asked.threshold:
        screen.print(asked.threshold, markup=False)
    truth = f", truth: {asked.truth}" if asked.truth else ""
    screen.print(f"bundle {asked.bundle[:12]}, id {asked.id}, {asked.milliseconds:.1f} ms{truth}")
