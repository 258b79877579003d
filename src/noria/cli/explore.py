"""Explore: a look at a dataset in a folder, as a page and as JSON."""

from __future__ import annotations

from pathlib import Path

from noria import __version__
from noria.cli.naming import find_task
from noria.cli.output import console, print_json, show_path
from noria.cli.project import started_in
from noria.errors import UsageError
from noria.ml.dataset import FACTS_FILE, open_dataset
from noria.ml.durable import create_whole
from noria.ml.exploration import explore
from noria.reports.exploration import exploration_page
from noria.reports.page import PageContext
from noria.steps.workspace import now


def explore_dataset(folder: Path, *, out: Path, as_json: bool) -> None:
    """Write the page, whole or not at all; with `as_json`, print the figures, too."""
    page = started_in() / out
    if page.exists():
        raise UsageError(f"{out} is there already: expected a file that is not; name another, or remove it")
    if not (started_in() / folder / FACTS_FILE).exists():
        raise UsageError(f"{folder} holds no dataset: expected a folder as `noria dataset --out` writes it; name one")
    dataset = open_dataset(started_in() / folder)
    classes = find_task(dataset.facts.task).classes
    found = explore(dataset.schema, dataset.load(), classes, dataset.nulls())
    context = PageContext(task=dataset.facts.task, created=now(), code=f"noria {__version__}")
    create_whole(page, exploration_page(found, context).encode())
    if as_json:
        print_json(found)
        return
    lacking = sum(each.rows > 0 for each in found.missing)
    screen = console()
    screen.print(f"{found.rows:,} rows of {dataset.facts.task}, {lacking} of {len(found.missing)} columns miss values")
    screen.print(f"Page  {show_path(str(page))}", soft_wrap=True)
