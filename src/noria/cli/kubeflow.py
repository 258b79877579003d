"""Kubeflow: the door to the cluster that the settings name, for the verbs that go through it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from noria.cli.project import enter_project
from noria.errors import UsageError
from noria.settings import Settings

if TYPE_CHECKING:
    from pipelines.cluster import Kubeflow
    from pipelines.overlay import Choices
    from pipelines.run_view import RunView

SHOWN_DIGITS = 8  # of a run's id: enough to tell it from others, and accepted wherever an id is
WHOLE_ID = 36


@dataclass(frozen=True, kw_only=True)
class Connected:
    """The settings of this project, the cluster that they name, and the names of the pipeline's steps, in order."""

    settings: Settings
    kubeflow: Kubeflow
    steps: tuple[str, ...]


def connect() -> Connected:
    """Open the door; nothing is asked yet. UsageError where the settings name no cluster."""
    enter_project()
    from pipelines.cluster import Kubeflow
    from pipelines.compiling import COMPILED
    from pipelines.graph import read_graph

    settings = Settings.from_environment()
    steps = tuple(step.name for step in read_graph(COMPILED).steps)
    return Connected(settings=settings, kubeflow=Kubeflow(settings.kfp, steps=steps), steps=steps)


def choose(*, image: str, gpus: int, nodes: list[str]) -> Choices:
    """What the words of a command choose for a cluster; the image of the settings, where they name none."""
    enter_project()
    from pipelines.overlay import Choices, parse_nodes

    return Choices(image=image or Settings.from_environment().image, gpus=gpus, nodes=parse_nodes(nodes))


def find_run(kubeflow: Kubeflow, start: str) -> RunView:
    """The run whose id begins so; UsageError where none does, or several."""
    from pipelines.kfp_errors import NotThereError

    if len(start) == WHOLE_ID:
        try:
            return kubeflow.run(start)
        except NotThereError as error:
            raise UsageError(f"no run {start} at {kubeflow.settings.host}: `noria runs` lists them") from error
    found = [run for run in kubeflow.runs() if start and run.id.startswith(start)]
    if len(found) != 1:
        raise UsageError(
            f"{len(found)} of the newest runs begin with {start!r}: `noria runs` lists them; give "
            f"{'more' if found else 'the first digits'} of one's id"
        )
    return kubeflow.run(found[0].id)
