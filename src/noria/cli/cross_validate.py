"""Cross-validate: how a task's recipe does on several spans of time, each after what it trains on."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from noria import __version__
from noria.cli.dataset import read_training_dataset
from noria.cli.figures import figures_table
from noria.cli.output import console, print_json, show_path
from noria.cli.preparing import Prepared, prepare
from noria.cli.project import started_in
from noria.errors import UsageError
from noria.gates.limits import Limits
from noria.ml.dataset import Dataset
from noria.ml.durable import create_whole
from noria.reports.evaluation import evaluation_page
from noria.reports.page import PageContext
from noria.steps.cross_validation import CrossValidated, cross_validate
from noria.steps.groups import read_group
from noria.steps.ingest import parse_moment, parse_window
from noria.steps.workspace import now

CALLED = {"candidate": "network"}  # what stands in an evaluation as the candidate is no candidate here


def cross_validate_task(
    task: str, environment: str, pairs: Sequence[str], *, folds: int, as_of: str, out: Path | None, as_json: bool
) -> None:
    """Read what a run of these parameters would train on, and take its folds; a page is written whole or not at all."""
    page = started_in() / out if out else None
    if page and page.exists():
        raise UsageError(f"{out} is there already: expected a file that is not; name another, or remove it")
    if folds < 1:
        raise UsageError(f"--folds is {folds}: expected 1 or more")
    prepared = prepare(task, environment, pairs, as_of=as_of)
    with console(sys.stderr if as_json else sys.stdout).status("reading") as status:

        def tell(text: str, _: float | None) -> None:
            status.update(text)

        chosen = prepared.parameters
        dataset, _ = read_training_dataset(
            prepared.workspace,
            prepared.task,
            parse_window(chosen.start, chosen.end),
            parse_moment("as_of", chosen.as_of or chosen.end),
            tell,
        )
        found = cross_validate(
            dataset,
            folds=folds,
            validation_days=chosen.validation_days,
            holdout_days=chosen.holdout_days,
            recipe=chosen.recipe(),
            draws=chosen.draws,
            limits=read_group("limits", chosen.limits, Limits),
            progress=tell,
        )
    if page:
        create_whole(page, _draw(prepared, dataset, found).encode())
    if as_json:
        print_json(found)
        return
    _show(found)
    if page:
        console().print(f"\nPage  {show_path(str(page))}", soft_wrap=True)


def _draw(prepared: Prepared, dataset: Dataset, found: CrossValidated) -> str:
    """The page of an evaluation, about all held-out rows."""
    rows = dataset.load()
    places = [found.places[item.row] for item in found.together.most_wrong]
    wrong = {name: values[places] for name, values in rows.items()}
    context = PageContext(task=prepared.task.name, created=now(), code=f"noria {__version__}")
    return evaluation_page(replace(found.together, bundle=""), None, dataset.schema, wrong, context)


def _show(found: CrossValidated) -> None:
    screen = console()
    for fold in found.folds:
        said = (
            f"Fold {fold.number}: {fold.first:%Y-%m-%d} to {fold.last:%Y-%m-%d}, {fold.evaluation.rows:,} rows after "
            f"{fold.training_rows:,} ({fold.epochs} epochs, {fold.seconds:.0f} s)"
        )
        screen.print(figures_table(f"\n{said}", fold.evaluation, CALLED))
    screen.print(figures_table(f"\nTogether: {found.together.rows:,} rows", found.together, CALLED))
