"""Data verbs: a task's rows and features, to write, to look at, to serve and to compare."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from noria.cli.options import (
    EXIT_CODES,
    FASHION,
    FOUND_CODES,
    AsOfOption,
    EnvOption,
    JsonOption,
    ParamOption,
    TaskOption,
)

app = typer.Typer(rich_markup_mode=None)


@app.command(epilog=EXIT_CODES)
def dataset(
    out: Annotated[Path, typer.Option(metavar="DIR", help="A folder that is not there yet.")],
    task: TaskOption = FASHION,
    start: Annotated[str, typer.Option("--from", metavar="INSTANT", help="The first of the window.")] = "",
    end: Annotated[str, typer.Option("--to", metavar="INSTANT", help="The first after the window.")] = "",
    as_of: Annotated[str, typer.Option(metavar="INSTANT", help="What was known then; --to, unless given.")] = "",
    json: JsonOption = False,
) -> None:
    """Write the rows that a run would train on, with their features, to be checked.

    They are Parquet with a dataset.json, and stand there whole or not at all.

    Example: noria dataset --task flights --from 2013-03-01 --to 2013-04-01 --out march
    """
    from noria.cli.dataset import write_training_dataset

    write_training_dataset(task, start=start, end=end, as_of=as_of, out=out, as_json=json)


@app.command(epilog=EXIT_CODES)
def explore(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A dataset, as `noria dataset` writes it.")],
    out: Annotated[Path, typer.Option(metavar="FILE", help="The page; a file that is not there yet.")],
    json: JsonOption = False,
) -> None:
    """Draw a page of what a dataset holds.

    It shows class balance, missing values, distributions, outliers, correlations and seasons.

    Example: noria explore march --out march.html
    """
    from noria.cli.explore import explore_dataset

    explore_dataset(folder, out=out, as_json=json)


@app.command(epilog=EXIT_CODES)
def materialize(
    task: TaskOption = FASHION,
    as_of: Annotated[
        str, typer.Option(metavar="INSTANT", help="What was known then; the newest in the source, unless given.")
    ] = "",
    late_hours: Annotated[
        float, typer.Option(metavar="HOURS", help="How late a row may come and still be looked at.")
    ] = 24.0,
    whole: Annotated[
        bool, typer.Option("--whole", help="Look at all rows, not only at those since the last time.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Put the newest features of every entity where the predictor reads them.

    All of them get there at once or none does. What is there already and newer stays.

    Example: noria materialize --task flights --as-of 2013-04-01
    """
    from noria.cli.materialize import materialize as put_online

    put_online(task, as_of=as_of, late_hours=late_hours, whole=whole, as_json=json)


@app.command(epilog=FOUND_CODES)
def skew(
    task: TaskOption = FASHION,
    log: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(metavar="FILE", help="What a predictor wrote with --features-log."),
    ] = None,
    rows: Annotated[int, typer.Option(metavar="N", help="Asked again, where there is no log.")] = 1000,
    at_least: Annotated[float, typer.Option(metavar="SHARE", help="Equal values; fewer are a fault.")] = 0.999,
    json: JsonOption = False,
) -> None:
    """Compare served features with those that training would have seen.

    Rows of the last week of the task's window are put to the champion, each with the store as it was at its moment; or
    the rows of a log are taken. Every value is compared with the point-in-time join.

    Example: noria skew --task flights
    """
    from noria.cli.skew import compare_served

    raise typer.Exit(compare_served(task, log=log, rows=rows, at_least=at_least, as_json=json))


@app.command(name="cross-validate", epilog=EXIT_CODES)
def cross_validate(
    task: TaskOption = FASHION,
    folds: Annotated[int, typer.Option(metavar="N", help="Spans of holdout_days that are held out in turn.")] = 4,
    env: EnvOption = "dev",
    as_of: AsOfOption = "",
    param: ParamOption = None,
    out: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(metavar="FILE", help="A page about all folds; a file that is not there yet."),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Train and measure on several spans of time, each after what it trains on.

    Each fold is what a run would have trained and been measured on then. Nothing is published.

    Example: noria cross-validate --task flights --folds 4
    """
    from noria.cli.cross_validate import cross_validate_task

    cross_validate_task(task, env, param or [], folds=folds, as_of=as_of, out=out, as_json=json)
