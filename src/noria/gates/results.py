"""Results: what one gate says, and what all of them together do."""

from __future__ import annotations

from dataclasses import dataclass

from noria.gates.limits import Departure
from noria.ml.scores import Difference, Interval


@dataclass(frozen=True, kw_only=True)
class GateResult:
    """One gate's answer; `figure` and `limit` are for people, `reason` says why it passed or did not."""

    name: str
    figure: str
    limit: str
    passed: bool
    reason: str


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Every gate's answer about one candidate; `passed` only if each of them passed.

    `departures` are the limits that were not the environment's own.
    """

    bundle: str
    dataset: str
    champion: str
    gates: tuple[GateResult, ...]
    passed: bool
    departures: tuple[Departure, ...] = ()

    @property
    def refusals(self) -> tuple[GateResult, ...]:
        """The gates that the candidate did not pass."""
        return tuple(gate for gate in self.gates if not gate.passed)


def show_interval(interval: Interval) -> str:
    """Such as "0.9312 [0.926, 0.936]"."""
    return f"{interval.value:.4f} [{interval.low:.3f}, {interval.high:.3f}]"


def show_difference(difference: Difference) -> str:
    """Such as "+0.0047 [-0.002, +0.012], at least -0.0012"."""
    interval = difference.interval
    return f"{interval.value:+.4f} [{interval.low:+.3f}, {interval.high:+.3f}], at least {difference.lower:+.4f}"
