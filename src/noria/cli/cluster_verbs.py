"""Cluster verbs: the pipeline on Kubeflow Pipelines, to compile, start, schedule, look at and end."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from noria.cli.options import (
    EXIT_CODES,
    FASHION,
    RUN_CODES,
    AsOfOption,
    EnvOption,
    JsonOption,
    ParamOption,
    TaskOption,
)

app = typer.Typer(rich_markup_mode=None)
schedule_app = typer.Typer(invoke_without_command=True, rich_markup_mode=None)
app.add_typer(schedule_app, name="schedule")

ImageOption = Annotated[
    str, typer.Option("--image", metavar="NAME:TAG", help="The image of the steps; that of NORIA_IMAGE, unless given.")
]
GpuOption = Annotated[
    int, typer.Option("--gpus", metavar="N", help="1: a GPU for the step that trains; sets training.device.")
]
NodeOption = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Option("--node", metavar="KEY=VALUE", help="A label that a step's node has to have; may be given again."),
]
RunArgument = Annotated[str, typer.Argument(metavar="RUN", help="A run, by the first digits of its id.")]
ScheduleArgument = Annotated[str, typer.Argument(metavar="SCHEDULE", help="By the first digits of its id.")]
AnyTaskOption = Annotated[str, typer.Option("--task", metavar="NAME", help="Of this task alone.")]


@app.command(name="compile", epilog=EXIT_CODES)
def compile_pipeline(
    out: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(metavar="FILE", help="For a cluster; the project's own compiled file, unless given."),
    ] = None,
    image: ImageOption = "",
    gpus: GpuOption = 0,
    node: NodeOption = None,
    json: JsonOption = False,
) -> None:
    """Compile the pipeline into one file.

    The project's own file is the same for everybody. Another one may name an image, nodes and GPUs of a cluster;
    without any of them it is the same, byte for byte, and what `noria submit` brings to a cluster.

    Example: noria compile --out training.yaml --gpus 1 --node pool=training
    """
    from noria.cli.compile import compile_pipeline as write_package

    write_package(out, image=image, gpus=gpus, nodes=node or [], as_json=json)


@app.command(epilog=RUN_CODES)
def submit(
    task: TaskOption = FASHION,
    env: EnvOption = "dev",
    as_of: AsOfOption = "",
    param: ParamOption = None,
    image: ImageOption = "",
    gpus: GpuOption = 0,
    node: NodeOption = None,
    wait: Annotated[
        bool, typer.Option("--wait", help="Follow the run to its end, and end as `noria run` does.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Run the pipeline on the cluster that NORIA_KFP names.

    It takes the parameters of `noria run`. Its first step finds champion, source and code as they are there. A run is
    called after its task, window and seed; the digits after `asked` are the same for runs that were asked for the same.

    Example: noria submit --task fashion --param seed=2 --wait
    """
    from noria.cli.kubeflow import choose
    from noria.cli.submit import submit_run

    choices = choose(image=image, gpus=gpus, nodes=node or [])
    raise typer.Exit(submit_run(task, env, param or [], choices, as_of=as_of, wait=wait, as_json=json))


@app.command(epilog=EXIT_CODES)
def runs(
    task: AnyTaskOption = "",
    count: Annotated[int, typer.Option(metavar="N", help="The newest N.", min=1, max=100)] = 20,
    json: JsonOption = False,
) -> None:
    """List the runs on the cluster, and what each came to.

    passed: the gates let it pass, and it was released, or had been before; refused: by the gates, or for its data;
    failed: a step did. Runs that were asked for the same have the same digits after `asked` in their names.

    Example: noria runs --task fashion
    """
    from noria.cli.cluster_runs import list_runs

    list_runs(task, count=count, as_json=json)


@app.command(epilog=EXIT_CODES)
def logs(
    run: RunArgument,
    step: Annotated[str, typer.Option(metavar="NAME", help="Of this step alone.")] = "",
    json: JsonOption = False,
) -> None:
    """Print what the steps of a run on the cluster wrote.

    Example: noria logs 3f2a91c0 --step train
    """
    from noria.cli.cluster_runs import show_logs

    show_logs(run, step=step, as_json=json)


@app.command(epilog=EXIT_CODES)
def cancel(run: RunArgument, json: JsonOption = False) -> None:
    """End a run on the cluster.

    Example: noria cancel 3f2a91c0
    """
    from noria.cli.cluster_runs import cancel_run

    cancel_run(run, as_json=json)


@schedule_app.callback(epilog=EXIT_CODES)
def schedule(context: typer.Context, task: AnyTaskOption = "", json: JsonOption = False) -> None:
    """List what the cluster runs by itself; add to it, pause, resume or delete it.

    Example: noria schedule add --cron "0 2 * * *" --days 90
    """
    if context.invoked_subcommand is None:
        from noria.cli.schedule import list_schedules

        list_schedules(task, as_json=json)


@schedule_app.command(epilog=EXIT_CODES)
def add(
    task: TaskOption = FASHION,
    cron: Annotated[str, typer.Option(metavar="FIELDS", help="Minute, hour, day, month, weekday; in UTC.")] = "",
    every: Annotated[str, typer.Option(metavar="SPAN", help="Such as 90m, 6h or 1d.")] = "",
    days: Annotated[
        int, typer.Option(metavar="N", help="Train on the N whole days before each run; 0: on the fixed window.", min=0)
    ] = 0,
    env: EnvOption = "dev",
    param: ParamOption = None,
    image: ImageOption = "",
    gpus: GpuOption = 0,
    node: NodeOption = None,
    name: Annotated[str, typer.Option(metavar="TEXT", help="By which people find it.")] = "",
    json: JsonOption = False,
) -> None:
    """Run the pipeline again and again.

    One run at a time. Of the times that were missed, while the schedule was paused, or the cluster was down, or the run
    before was going on, only the last is made up for. All runs have the image of now: after an upgrade, delete the
    schedule and add it again.

    Example: noria schedule add --task flights --every 1d --days 90
    """
    from noria.cli.kubeflow import choose
    from noria.cli.schedule import add_schedule

    choices = choose(image=image, gpus=gpus, nodes=node or [])
    add_schedule(task, env, param or [], choices, cron=cron, every=every, days=days, name=name, as_json=json)


@schedule_app.command(epilog=EXIT_CODES)
def pause(schedule: ScheduleArgument, json: JsonOption = False) -> None:
    """Start none of its runs until it is resumed.

    Example: noria schedule pause 3f2a91c0
    """
    from noria.cli.schedule import change_schedule

    change_schedule(schedule, "paused", as_json=json)


@schedule_app.command(epilog=EXIT_CODES)
def resume(schedule: ScheduleArgument, json: JsonOption = False) -> None:
    """Start its runs again; if any was missed meanwhile, the last of them at once.

    Example: noria schedule resume 3f2a91c0
    """
    from noria.cli.schedule import change_schedule

    change_schedule(schedule, "resumed", as_json=json)


@schedule_app.command(epilog=EXIT_CODES)
def delete(schedule: ScheduleArgument, json: JsonOption = False) -> None:
    """Forget it; its runs remain.

    Example: noria schedule delete 3f2a91c0
    """
    from noria.cli.schedule import change_schedule

    change_schedule(schedule, "deleted", as_json=json)
