"""The command `noria`: its verbs and their options; each verb's work lies in a module of its own."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Optional

import typer

from noria.cli import cluster_verbs, data_verbs, run_verbs
from noria.cli.options import (
    EXIT_CODES,
    FASHION,
    FOUND_CODES,
    RUN_CODES,
    SERVE_CODES,
    AsOfOption,
    EnvOption,
    JsonOption,
    ParamOption,
    TaskOption,
)
from noria.errors import NoriaError

app = typer.Typer(
    name="noria",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"max_content_width": 100},
    help="Keep a model fresh: new data turns the wheel; a model goes up when the gates say it is not worse.\n\n"
    "Example: noria plan; noria run; noria status; noria serve",
    epilog="Exit codes: 0 done, promoted or unchanged; 1 fault; 2 usage; 3 refused by a gate or a person; 130 "
    "interrupted. With --json a fault is told as JSON, too.",
)
releases_app = typer.Typer(invoke_without_command=True, rich_markup_mode=None)
app.add_typer(releases_app, name="releases")


def _tell_version(wanted: bool) -> None:
    if wanted:
        from noria import __version__

        typer.echo(f"noria {__version__}")
        raise typer.Exit


@app.callback()
def _noria(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_tell_version, is_eager=True)
    ] = False,
) -> None:
    pass


@app.command(epilog=RUN_CODES)
def run(
    task: TaskOption = FASHION,
    env: EnvOption = "dev",
    as_of: AsOfOption = "",
    param: ParamOption = None,
    json: JsonOption = False,
) -> None:
    """Run the pipeline here, from ingest to deploy, and ask the champion.

    Steps whose data and code did not change are not repeated. What the gates refuse does not go up, and they say why.

    Example: noria run --task fashion --param seed=2
    """
    from noria.cli.run import run_pipeline

    raise typer.Exit(run_pipeline(task, env, param or [], as_of=as_of, as_json=json))


@app.command(epilog=EXIT_CODES)
def plan(
    task: TaskOption = FASHION,
    env: EnvOption = "dev",
    as_of: AsOfOption = "",
    param: ParamOption = None,
    json: JsonOption = False,
) -> None:
    """Show what a run would do and cost: steps, pods, CPU, memory, parameters.

    Example: noria plan --env prod
    """
    from noria.cli.plan import show_plan

    show_plan(task, env, param or [], as_of=as_of, as_json=json)


@app.command(epilog=EXIT_CODES)
def predict(
    task: TaskOption = FASHION,
    image: Annotated[Optional[Path], typer.Option(metavar="FILE", help="Such as a picture.")] = None,  # noqa: UP045
    row: Annotated[Optional[int], typer.Option(metavar="N", help="A row of the champion's dataset, from 0.")] = None,  # noqa: UP045
    url: Annotated[str, typer.Option(metavar="URL", help="A predictor that runs already; else one is started.")] = "",
    json: JsonOption = False,
) -> None:
    """Ask the champion about one item, through the real server.

    Example: noria predict --row 69000
    """
    from noria.cli.predict import predict_one

    predict_one(task, image=image, row=row, url=url, as_json=json)


@app.command(epilog=SERVE_CODES)
def serve(
    task: TaskOption = FASHION,
    http_port: Annotated[
        int, typer.Option(metavar="PORT", help="TCP port; 0 takes a free one.", min=0, max=65_535)
    ] = 8080,
    host: Annotated[str, typer.Option(metavar="ADDRESS", help="Where to listen.")] = "127.0.0.1",
    more: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Argument(
            metavar="PREDICTOR_OPTIONS",
            help="What follows -- is handed to the predictor: `python -m serving --help` lists it.",
            show_default=False,
        ),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Serve the champion, and every one after it.

    A new champion takes over without a lost request. One line says that the predictor is ready, and where.

    Example: noria serve --http-port 8080 -- --grpc-port 9000 --threads 2
    """
    from noria.cli.serve import serve_champion

    raise typer.Exit(serve_champion(task, host=host, http_port=http_port, more=more or [], as_json=json))


@app.command(epilog=EXIT_CODES)
def status(task: TaskOption = FASHION, json: JsonOption = False) -> None:
    """Show the champion with its figures, the last runs and the last verdicts.

    Example: noria status --json
    """
    from noria.cli.status import show_status

    show_status(task, as_json=json)


@releases_app.callback(epilog=EXIT_CODES)
def releases(context: typer.Context, task: TaskOption = FASHION, json: JsonOption = False) -> None:
    """List the release ledger, or verify it.

    Example: noria releases --json
    """
    context.obj = (task, json)
    if context.invoked_subcommand is None:
        from noria.cli.releases import list_releases

        list_releases(task, as_json=json)


@releases_app.command(epilog=FOUND_CODES)
def verify(
    context: typer.Context,
    task: Annotated[str, typer.Option(metavar="NAME", help="The task's name; that of `releases`, unless given.")] = "",
    json: JsonOption = False,
) -> None:
    """Look for any altered, missing or inserted entry.

    Example: noria releases verify
    """
    from noria.cli.releases import verify_releases

    above, as_json = context.obj
    raise typer.Exit(verify_releases(task or above, as_json=json or as_json))


@app.command(epilog=EXIT_CODES)
def rollback(
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why; it is kept in the ledger.")],
    task: TaskOption = FASHION,
    to: Annotated[
        str,
        typer.Option(metavar="DIGEST", help="A former champion, by its first digits; the one before, unless given."),
    ] = "",
    json: JsonOption = False,
) -> None:
    """Make a former champion champion again.

    The ledger gains an entry and loses none; no later run undoes it.

    Example: noria rollback --reason "complaints about sandals"
    """
    from noria.cli.releases import roll_back

    roll_back(task, to=to, reason=reason, as_json=json)


@app.command(epilog=EXIT_CODES)
def which(
    at: Annotated[
        str, typer.Option(metavar="INSTANT", help="In ISO 8601, UTC unless it says otherwise; now, unless given.")
    ] = "",
    task: TaskOption = FASHION,
    json: JsonOption = False,
) -> None:
    """Say which model answered at a time, and why.

    Example: noria which --at 2026-11-21T12:00
    """
    from noria.cli.releases import show_which

    show_which(task, at=at, as_json=json)


@app.command(epilog=EXIT_CODES)
def datasets(
    digest: Annotated[
        str, typer.Argument(metavar="DIGEST", help="A dataset, by its first digits: show its data dictionary.")
    ] = "",
    fetch: Annotated[str, typer.Option(metavar="TASK", help="Bring this task's source data to this machine.")] = "",
    json: JsonOption = False,
) -> None:
    """List the datasets, show one's data dictionary, or fetch a task's source.

    Example: noria datasets 3f2a
    """
    from noria.cli.datasets import fetch_source, list_datasets, show_dataset

    if fetch:
        fetch_source(fetch, as_json=json)
    elif digest:
        show_dataset(digest, as_json=json)
    else:
        list_datasets(as_json=json)


# Among the others, before the one that comes last.
app.registered_commands += run_verbs.app.registered_commands
app.registered_commands += cluster_verbs.app.registered_commands
app.registered_groups += cluster_verbs.app.registered_groups
app.registered_commands += data_verbs.app.registered_commands


@app.command(epilog=FOUND_CODES)
def doctor(json: JsonOption = False) -> None:
    """Check this machine and project: libraries, data, stores, keys, ledgers.

    Example: noria doctor
    """
    from noria.cli.doctor import examine

    raise typer.Exit(examine(as_json=json))


def main() -> None:
    """Run the command; this is the outermost door, so whatever Noria raises ends here as one message."""
    as_json = "--json" in sys.argv[1:]
    try:
        app()
    except BrokenPipeError:
        sys.exit(1)
    except (NoriaError, OSError) as error:
        from noria.cli.failing import tell_failure

        sys.exit(tell_failure(error, as_json=as_json))
    except SystemExit as ending:
        # Typer has said on standard error already what is wrong with the command line.
        if as_json and isinstance(ending.__context__, typer.TyperException):
            from noria.cli.failing import Failure
            from noria.cli.output import print_json

            print_json(Failure(error=ending.__context__.format_message(), kind="UsageError", exit_code=2))
        raise
