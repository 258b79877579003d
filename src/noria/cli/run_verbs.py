"""Run verbs: what is asked about runs that are over."""

from __future__ import annotations

from typing import Annotated

import typer

from noria.cli.options import FASHION, JsonOption, TaskOption

app = typer.Typer(rich_markup_mode=None)

RUN = "RUN, PLACE or PLACE#RUN"


@app.command(epilog="Exit codes: 0 equal; 1 different, or a fault; 2 usage; 130 interrupted.")
def parity(
    one: Annotated[str, typer.Argument(metavar="A", help=f"A run: {RUN}.")],
    other: Annotated[str, typer.Argument(metavar="B", help="The run that it is compared with.")],
    task: TaskOption = FASHION,
    json: JsonOption = False,
) -> None:
    """Compare two runs: did they come to the same, wherever they ran?

    Equal have to be plan, code, events and feature tables, dataset, bundle, evaluation, decision and ledger entries,
    each by its digest. Latency and times may differ, and are shown apart. A RUN is the id of a run, or of its plan, by
    the first digits; a PLACE is a project's folder, another home, or an object store, as NORIA_OBJECTS names one, and
    means its last verdict. A run that came to no verdict is compared by what is kept of it.

    Example: noria parity ../laptop s3://noria/dev --task flights
    """
    from noria.cli.parity import compare_runs

    raise typer.Exit(compare_runs(one, other, task, as_json=json))
