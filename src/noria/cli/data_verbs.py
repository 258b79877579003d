"""Data verbs: a task's rows and features, to write, to look at, to serve and to compare."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from noria.cli.options import EXIT_CODES, FASHION, JsonOption, TaskOption

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
    """Write the rows that a run would train on, features and all, for anyone to check.

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
