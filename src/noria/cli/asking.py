"""Asking: put rows to the champion through the real server."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from noria.errors import UsageError
from noria.ml.bundle import Bundle
from noria.steps.served import Answer, serving
from noria.steps.workspace import Workspace
from noria.task import Rows


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One answered question; `truth` is "" where nobody knows it.

    `called_from` is the probability from which on the decision is made; None where it is simply the likeliest class, or
    where costs of more than two classes leave no one threshold.
    """

    id: str
    task: str
    bundle: str
    row: int
    decision: str
    probability: float
    probabilities: dict[str, float]
    truth: str
    milliseconds: float
    called_from: float | None = None

    @property
    def threshold(self) -> str:
        """Such as "called late from 0.25 on"; "" where there is nothing to say."""
        return "" if self.called_from is None else f"called {self.decision} from {self.called_from:.3g} on"


def tell(answer: Answer, bundle: Bundle, *, row: int, truth: str) -> Asked:
    """Put an answer to one row into words."""
    names = bundle.facts.classes
    label = int(answer.labels[0])
    shares = [float(share) for share in answer.probabilities[0]]
    return Asked(
        id=answer.id,
        task=bundle.facts.task,
        bundle=answer.bundle,
        row=row,
        decision=names[label],
        probability=round(shares[label], 6),
        probabilities={name: round(share, 6) for name, share in zip(names, shares, strict=True)},
        truth=truth,
        milliseconds=round(answer.seconds * 1000, 3),
        called_from=called_from(bundle.facts.costs, label),
    )


def called_from(costs: Sequence[Sequence[float]], label: int) -> float | None:
    """From which probability on a class is decided for: where its expected cost is no more than the other one's."""
    if len(costs) != 2:
        return None
    wrongly, missed = costs[1 - label][label], costs[label][1 - label]
    return None if wrongly == missed else wrongly / (wrongly + missed)


def champion_bundle(workspace: Workspace, task: str) -> Bundle | None:
    """The champion, verified; None where there is none yet."""
    champion = workspace.ledger(task).champion()
    return workspace.fetch_bundle(champion.bundle) if champion else None


def dataset_row(workspace: Workspace, bundle: Bundle, place: int) -> tuple[int, Rows, str]:
    """Row `place` of the dataset that the bundle was made of (negative: from its end), its features, and its truth."""
    dataset = workspace.fetch_dataset(workspace.store.uri(f"datasets/{bundle.facts.training_data}"))
    row = place if place >= 0 else dataset.rows + place
    if not 0 <= row < dataset.rows:
        raise UsageError(f"row {place} is not in dataset {dataset.digest[:12]}: it has rows 0 to {dataset.rows - 1}")
    rows = dataset.load([*(column.name for column in dataset.schema.features), dataset.schema.label.name])
    truth = bundle.facts.classes[int(rows[dataset.schema.label.name][row])]
    return row, {column.name: rows[column.name][row : row + 1] for column in dataset.schema.features}, truth


def ask_champion(workspace: Workspace, task: str, project: Path, *, place: int) -> Asked | None:
    """Start the real server with the champion and ask for a row of its dataset; None where there is no champion."""
    bundle = champion_bundle(workspace, task)
    if bundle is None:
        return None
    row, features, truth = dataset_row(workspace, bundle, place)
    arguments = ["--bundle", str(bundle.folder), "--name", task]
    with serving(arguments, model=task, schema=bundle.facts.schema, root=project) as client:
        return tell(client.ask(features), bundle, row=row, truth=truth)
