"""Batch: requests that the model runs together."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Arrays = Mapping[str, NDArray[Any]]
Done = Callable[[Arrays | Exception], None]


class Held(Protocol):
    """A request that has been handed on, as who asked for it sees it."""

    def leave(self) -> None:
        """Wait no more."""


@dataclass(slots=True)
class Waiting:
    """One request in the queue, and who is told its outcome."""

    features: Arrays
    rows: int
    came: float  # monotonic seconds
    done: Done
    gone: bool = False  # nobody waits for the outcome any more: it is dropped when its turn comes
    alone: bool = False  # it was in a batch that failed: nobody shares the next one with it

    def leave(self) -> None:
        """Wait no more."""
        self.gone = True


@dataclass(slots=True)
class Finished:
    """A batch that has run."""

    batch: Sequence[Waiting]
    result: Sequence[Arrays] | Exception
    rows: int
    started: float  # monotonic seconds
    seconds: float
    last: bool  # the thread waits for another one


def join(batch: Sequence[Waiting]) -> dict[str, NDArray[Any]]:
    """The features of all requests, one after the other."""
    if len(batch) == 1:
        return dict(batch[0].features)
    return {name: np.concatenate([waiting.features[name] for waiting in batch]) for name in batch[0].features}


def part(outputs: Arrays, batch: Sequence[Waiting]) -> list[Arrays]:
    """The outputs of each request."""
    if len(batch) == 1:
        return [outputs]
    parts: list[Arrays] = []
    start = 0
    for waiting in batch:
        end = start + waiting.rows
        parts.append({name: values[start:end] for name, values in outputs.items()})
        start = end
    return parts
