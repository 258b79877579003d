"""The command `noria`: its verbs and their options; each verb's work lies in a module of its own."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Optional

import typer

from noria.errors import NoriaError

app = typer.Typer(
    name="noria",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Keep a model fresh: new data turns the wheel; a model goes up when the gates say it is not worse.\n\n"
    "Exit codes: 0 done or promoted; 1 fault; 2 usage; 3 refused by a gate.",
)
releases_app = typer.Typer(invoke_without_command=True, rich_markup_mode=None)
app.add_typer(releases_app, name="releases")

TaskOption = Annotated[str, typer.Option("--task", help="The task's name.")]
EnvOption = Annotated[str, typer.Option("--env", help="The environment: dev, qa or prod.")]
ParamOption = Annotated[Optional[list[str]], typer.Option("--param", help="KEY=VALUE; may be given again.")]  # noqa: UP045
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")]
FASHION = "fashion"


@app.command()
def run(
    task: TaskOption = FASHION, env: EnvOption = "dev", param: ParamOption = None, json: JsonOption = False
) -> None:
    """Run the pipeline here: ingest, validate, train, evaluate, gates, deploy; then ask the champion.

    Example: noria run --task fashion --param seed=2
    """
    from noria.cli.run import run_pipeline

    raise typer.Exit(run_pipeline(task, env, param or [], as_json=json))


@app.command()
def plan(
    task: TaskOption = FASHION, env: EnvOption = "dev", param: ParamOption = None, json: JsonOption = False
) -> None:
    """Show what a run would do and cost: graph, parameters, pods, CPU, memory.

    Example: noria plan --env prod
    """
    from noria.cli.plan import show_plan

    show_plan(task, env, param or [], as_json=json)


@app.command()
def predict(
    task: TaskOption = FASHION,
    image: Annotated[Optional[Path], typer.Option(help="A file that the task can read, such as a picture.")] = None,  # noqa: UP045
    row: Annotated[Optional[int], typer.Option(help="A row of the champion's dataset, from 0.")] = None,  # noqa: UP045
    url: Annotated[str, typer.Option(help="A predictor that runs already; without it one is started.")] = "",
    json: JsonOption = False,
) -> None:
    """Ask the champion about one item, through the real server.

    Example: noria predict --row 69000
    """
    from noria.cli.predict import predict_one

    predict_one(task, image=image, row=row, url=url, as_json=json)


@app.command()
def serve(
    task: TaskOption = FASHION,
    http_port: Annotated[int, typer.Option(help="TCP port; 0 takes a free one.")] = 8080,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
) -> None:
    """Serve the champion, and follow the ledger: a new champion takes over without a lost request.

    Example: noria serve --http-port 8080
    """
    from noria.cli.serve import serve_champion

    raise typer.Exit(serve_champion(task, host=host, http_port=http_port))


@app.command()
def status(task: TaskOption = FASHION, json: JsonOption = False) -> None:
    """Show the champion, its figures, since when, the last runs and verdicts.

    Example: noria status --json
    """
    from noria.cli.status import show_status

    show_status(task, as_json=json)


@releases_app.callback()
def releases(context: typer.Context, task: TaskOption = FASHION, json: JsonOption = False) -> None:
    """List the release ledger, or verify it.

    Example: noria releases --json
    """
    context.obj = (task, json)
    if context.invoked_subcommand is None:
        from noria.cli.releases import list_releases

        list_releases(task, as_json=json)


@releases_app.command()
def verify(
    context: typer.Context,
    task: Annotated[str, typer.Option(help="The task's name; that of `releases`, unless given.")] = "",
    json: JsonOption = False,
) -> None:
    """Look for any altered, missing or inserted entry; exit code 1 if there is one.

    Example: noria releases verify
    """
    from noria.cli.releases import verify_releases

    above, as_json = context.obj
    raise typer.Exit(verify_releases(task or above, as_json=json or as_json))


@app.command()
def rollback(
    reason: Annotated[str, typer.Option(help="Why; it is kept in the ledger.")],
    task: TaskOption = FASHION,
    to: Annotated[
        str, typer.Option(help="Digest of a former champion, or its first digits; the one before, unless given.")
    ] = "",
    json: JsonOption = False,
) -> None:
    """Make a former champion champion again; the ledger gains an entry and loses none.

    Example: noria rollback --reason "complaints about sandals"
    """
    from noria.cli.releases import roll_back

    roll_back(task, to=to, reason=reason, as_json=json)


@app.command()
def which(
    at: Annotated[
        str, typer.Option(help="An instant in ISO 8601, UTC unless it says otherwise; now, unless given.")
    ] = "",
    task: TaskOption = FASHION,
    json: JsonOption = False,
) -> None:
    """Say which model answered at a time, and why.

    Example: noria which --at 2026-11-21T12:00
    """
    from noria.cli.releases import show_which

    show_which(task, at=at, as_json=json)


@app.command()
def datasets(
    digest: Annotated[
        str, typer.Argument(help="A dataset's digest, or its first digits: show its data dictionary.")
    ] = "",
    fetch: Annotated[str, typer.Option(help="Bring the source data of this task to this machine.")] = "",
    json: JsonOption = False,
) -> None:
    """List the datasets, show one's data dictionary, or fetch a task's source.

    Example: noria datasets 3f2a
    """
    from noria.cli.datasets import fetch_source, list_datasets, show_dataset

    if fetch:
        fetch_source(fetch)
    elif digest:
        show_dataset(digest, as_json=json)
    else:
        list_datasets(as_json=json)


@app.command()
def doctor(json: JsonOption = False) -> None:
    """Check this machine and project: Python, libraries, data, stores, keys, ledger; exit code 1 if something is wrong.

    Example: noria doctor
    """
    from noria.cli.doctor import examine

    raise typer.Exit(examine(as_json=json))


def main() -> None:
    """Run the command; this is the outermost door, so whatever Noria raises ends here as one message."""
    try:
        app()
    except NoriaError as error:
        for line in (error, *getattr(error, "__notes__", ())):
            sys.stderr.write(f"noria: {line}\n")
        sys.exit(error.exit_code)
    except BrokenPipeError:
        sys.exit(1)
    except OSError as error:
        sys.stderr.write(f"noria: the system refused ({error}): look at the path, its permissions and the free space\n")
        sys.exit(1)
