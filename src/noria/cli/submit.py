"""Submit: the pipeline on a cluster, with the parameters that a run here would take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import noria
from noria.cli.cluster_summary import Ended, tell_end
from noria.cli.kubeflow import Connected, connect
from noria.cli.naming import find_task
from noria.cli.output import console, print_json
from noria.cli.preparing import parse_pairs
from noria.cli.run import words_of
from noria.cli.summary import spell_command
from noria.cli.watching import Watched, follow
from noria.errors import UsageError
from noria.steps.settle import RESOLVED
from noria.steps.workspace import now

if TYPE_CHECKING:
    from pipelines.cluster import Published
    from pipelines.overlay import Choices
    from pipelines.run_view import RunView

# A run on a cluster finds these out in its first step: the code and the source are those of the image and of the
# cluster, which need not be the ones here, and the champion is the one at that moment.
SETTLED_THERE = (*RESOLVED, "code", "source")
DEVICE = "training.device"
DIGITS = 8


@dataclass(frozen=True, kw_only=True)
class Request:
    """What is asked of a cluster: the arguments of the pipeline, and a name by which people find the run."""

    task: str
    name: str
    arguments: Mapping[str, Any]
    seed: int


def ask_for(
    task_name: str, environment: str, pairs: Sequence[str], *, as_of: str = "", days: int = 0, gpus: int = 0, at: str
) -> Request:
    """Put a run's parameters together as `noria run` does; `days` > 0 asks for so many whole days before the run.

    A GPU that is reserved is the device of the training, unless the parameters say otherwise, which is refused. The
    task has to be known here; its source and the stores need not be.
    """
    from pipelines import parameters

    task = find_task(task_name)
    given = ({DEVICE: "cuda"} if gpus else {}) | ({"end": as_of, "as_of": as_of} if as_of else {}) | parse_pairs(pairs)
    if days:
        if fixed := sorted({"start", "end", "as_of"} & set(given)):
            raise UsageError(f"{', '.join(fixed)} and --days: either the window is fixed, or it moves with the time")
        end = datetime(2001, 1, 1, tzinfo=UTC)  # any window of that length: its days are checked like every other's
        given |= {"start": f"{end - timedelta(days=days):%Y-%m-%d}", "end": f"{end:%Y-%m-%d}"}
    chosen = parameters.load(environment, task, given, {"source": "", "code": ""})
    _expect_gpu(chosen.recipe().device, gpus)
    window = f"{chosen.start}..{chosen.end}"
    arguments = chosen.arguments() | dict.fromkeys(SETTLED_THERE, "")
    if days:
        chosen, window = replace(chosen, as_of=""), f"the last {days} days"
        arguments |= {"start": "", "end": "", "as_of": ""}
    asked = chosen.digest()[:DIGITS]
    name = f"{task.name} {window} seed {chosen.seed} asked {asked}"
    return Request(task=task.name, name=name, arguments=arguments | {"days": days, "at": at}, seed=chosen.seed)


def _expect_gpu(device: str, gpus: int) -> None:
    """A GPU that idles costs money, and a training without its GPU fails when all steps before it are done."""
    if (device == "cuda") != bool(gpus):
        reserved = f"{gpus} GPU reserved" if gpus else "no GPU reserved"
        raise UsageError(
            f"{DEVICE} is {device} with {reserved}: expected both or neither; say --gpus 1, which sets {DEVICE} to "
            f"cuda, or leave --gpus out with --param {DEVICE}=cpu"
        )


def publish(connected: Connected, choices: Choices) -> Published:
    """Bring the compiled pipeline to the cluster, unless it is there."""
    from pipelines.compiling import COMPILED
    from pipelines.graph import read_graph
    from pipelines.overlay import lay_over, version_of

    text = lay_over(COMPILED, choices)
    version = version_of(text, noria.__version__)
    return connected.kubeflow.publish(text, pipeline=read_graph(COMPILED).name, version=version)


def submit_run(
    task: str, environment: str, pairs: Sequence[str], choices: Choices, *, as_of: str, wait: bool, as_json: bool
) -> int:
    """Start a run on the cluster and, if asked to, follow it to its end; returns the exit code of `noria run`."""
    from pipelines.parameters import check_image

    check_image(environment, choices.image)
    connected = connect()
    at = f"{now():%Y-%m-%dT%H:%M:%S.%f}Z"
    request = ask_for(task, environment, pairs, as_of=as_of, gpus=choices.gpus, at=at)
    published = publish(connected, choices)
    started = connected.kubeflow.submit(
        published, experiment=request.task, name=request.name, parameters=request.arguments
    )
    if not as_json:
        _tell_start(connected, published, started)
    if wait:
        watched = follow(connected, started.id, as_json=as_json)
        given = (*words_of(environment, pairs, as_of), *_words_of(choices, connected.settings.image))
        ended = Ended(
            connected=connected, watched=watched, version=published.name, task=request.task, seed=request.seed,
            given=given,
        )  # fmt: skip
        return tell_end(ended, as_json=as_json)
    if as_json:
        print_json(Watched(view=started).describe(connected, published.name))
    else:
        noria, short = spell_command(), started.id[:DIGITS]
        console().print(f"\nNext\n  {noria} runs\n  {noria} logs {short}\n  {noria} cancel {short}", markup=False)
    return 0


def _words_of(choices: Choices, usual: str) -> tuple[str, ...]:
    """What was chosen for the cluster, as it is typed; the image only where it is not the settings' own."""
    image = ("--image", choices.image) if choices.image != usual else ()
    gpus = ("--gpus", str(choices.gpus)) if choices.gpus else ()
    return (*image, *gpus, *(word for key, value in choices.nodes.items() for word in ("--node", f"{key}={value}")))


def _tell_start(connected: Connected, published: Published, started: RunView) -> None:
    screen = console()
    what = "uploaded" if published.new else "there already"
    for word, text in (
        ("Run", f"{started.name} ({started.id[:DIGITS]})"),
        ("Version", f"{published.name} of the pipeline, {what}"),
        ("Page", connected.kubeflow.address_of(started.id)),
    ):
        screen.print(f"  {word:<8} {text}", soft_wrap=True, markup=False)
