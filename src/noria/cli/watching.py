"""Watching: a run on a cluster, step by step to its end, and what it came to."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from noria.cli.display import Display
from noria.cli.failing import INTERRUPTED, FailedError, Failure
from noria.cli.kubeflow import SHOWN_DIGITS, Connected
from noria.cli.output import console
from noria.errors import ClusterError, EvidenceError
from noria.ml.progress import parse
from noria.steps.deploy import UNCHANGED
from noria.steps.exhibit import REFUSED
from noria.steps.running import FAILED, parse_event
from noria.steps.running import REFUSED as REFUSAL

if TYPE_CHECKING:
    from pipelines.run_view import RunView, StepView

SHORTEST, LONGEST = 0.5, 5.0  # seconds between two looks; a step on a cluster takes tens of them
PATIENCE = 10  # looks in a row at which the way to the cluster may be cut
SHOWN = {"done": "done", "cached": "cached", "failed": "failed", "stopped": "stopped"}
_CHAMPION = re.compile(rf"(?:{UNCHANGED})?(?P<bundle>[0-9a-f]{{12}}) is champion since ")
SERVICE = "InferenceService "  # how the step deploy begins what it tells of one


@dataclass(frozen=True, kw_only=True)
class Watched:
    """A run as it was seen last; `outcome` is "" until it ended: promoted, unchanged, refused, failed or cancelled.

    `bundle` holds the first digits of the champion's, where the step deploy told them; `served` is False where it told
    of no InferenceService, and the champion is for predictors that follow the ledger.
    """

    view: RunView
    outcome: str = ""
    reason: str = ""
    plan: str = ""
    bundle: str = ""
    served: bool = True

    @property
    def exit_code(self) -> int:
        """That of `noria run`."""
        if self.outcome == "refused":
            return EvidenceError.exit_code
        return 1 if self.outcome in ("failed", "cancelled") else 0

    def describe(self, connected: Connected, version: str) -> dict[str, object]:
        """The same for a program."""
        return {
            "run": self.view.id,
            "name": self.view.name,
            "page": connected.kubeflow.address_of(self.view.id),
            "version": version,
            "state": self.view.state,
            "outcome": self.outcome,
            "reason": self.reason,
            "plan": self.plan,
            "steps": {step.name: {"state": step.state, "seconds": step.seconds} for step in self.view.steps},
        }


def follow(connected: Connected, run_id: str, *, as_json: bool, pause: Callable[[float], None] = time.sleep) -> Watched:
    """Look until the run has ended, drawing its steps. A way to the cluster that is cut for a while is no end."""
    screen = console(sys.stderr if as_json else sys.stdout)
    try:
        with Display(screen, list(connected.steps)) as display:
            for view in _looks(connected, run_id, pause):
                _draw(display, view)
    except KeyboardInterrupt as error:
        words = f"interrupted; the run goes on: `noria cancel {run_id[:SHOWN_DIGITS]}` ends it"
        raise FailedError(Failure(error=words, kind="KeyboardInterrupt", exit_code=INTERRUPTED)) from error
    return conclude(connected, view)


def _looks(connected: Connected, run_id: str, pause: Callable[[float], None]) -> Iterator[RunView]:
    from pipelines.kfp_errors import UnreachableError

    wait, missed = SHORTEST, 0
    while True:
        try:
            view, missed = connected.kubeflow.run(run_id), 0
        except UnreachableError as error:
            missed += 1
            if missed == PATIENCE:
                error.add_note(f"the run goes on: `noria runs` shows it, as {run_id[:SHOWN_DIGITS]}")
                raise
        else:
            yield view
            if view.ended:
                return
        pause(wait)
        wait = min(LONGEST, wait * 1.5)


def _draw(display: Display, view: RunView) -> None:
    for step in view.steps:
        before = display.lines[step.name].state
        if step.state == "running" and before == "waiting":
            display.start(step.name)
        elif step.state in SHOWN and before in ("waiting", "running"):
            display.end(step.name, SHOWN[step.state], step.seconds)
        elif step.state == "skipped" and view.ended and before == "waiting":
            display.end(step.name, "skipped")


def conclude(connected: Connected, view: RunView) -> Watched:
    """What a run that ended came to, from the states of its steps and from what they wrote."""
    steps = {step.name: step for step in view.steps}
    plan = next((word for word in _told(connected, view, steps["settle"]) if word.startswith("plan ")), "")
    plan = plan.removeprefix("plan ").partition(",")[0]
    if view.state.startswith("CANCEL"):
        return Watched(view=view, outcome="cancelled", reason="somebody ended it", plan=plan)
    if failed := [step for step in view.steps if step.state == "failed"]:
        outcome, reason = _fault(connected, view, failed[0])
        return Watched(view=view, outcome=outcome, reason=reason, plan=plan)
    if view.state != "SUCCEEDED":
        return Watched(view=view, outcome="failed", reason=view.error or f"KFP says {view.state}", plan=plan)
    return replace(_verdict(connected, view, steps), plan=plan)


def _verdict(connected: Connected, view: RunView, steps: dict[str, StepView]) -> Watched:
    """What a run came to that no step has failed in: a gate, or the validation of the data, may have ended it."""
    if steps["judge"].state == "skipped":
        lines = _lines(connected, view, steps["validate"])
        events = [found[1] for line in lines if (found := parse_event(line)) and found[0] == REFUSAL]
        cached = "the data are invalid, as was found before: the report of the step validate names the rows"
        return Watched(view=view, outcome="refused", reason=f"validate: {events[-1].message}" if events else cached)
    said = _told(connected, view, steps["judge"])
    known = "decided before, and taken from the cache: `noria releases` tells why"
    reason = said[-1].removeprefix(REFUSED) if said else known
    if steps["deploy"].state == "skipped":
        return Watched(view=view, outcome="refused", reason=reason)
    released = _told(connected, view, steps["deploy"])
    same = any(line.startswith(UNCHANGED) for line in released)
    return Watched(
        view=view,
        outcome="unchanged" if same else "promoted",
        reason=reason,
        bundle=next((one["bundle"] for line in released if (one := _CHAMPION.match(line))), ""),
        served=not released or any(line.startswith(SERVICE) for line in released),
    )


def _fault(connected: Connected, view: RunView, step: StepView) -> tuple[str, str]:
    """What a step that failed said; evidence that cannot be used ends a run as a gate's refusal does."""
    lines = _lines(connected, view, step)
    events = [found[1] for line in lines if (found := parse_event(line)) and found[0] == FAILED]
    if events:
        refused = events[-1].exit_code == EvidenceError.exit_code
        return "refused" if refused else "failed", f"{step.name}: {events[-1].message}"
    where = f"`noria logs {view.id[:SHOWN_DIGITS]} --step {step.name}`"
    why = view.error or "it ended without a word: it was killed, its pod never started, or its node was lost"
    return "failed", f"{step.name}: {why}; see {where}, and the page of the run"


def _told(connected: Connected, view: RunView, step: StepView) -> list[str]:
    return [message.text for line in _lines(connected, view, step) if (message := parse(line))]


def _lines(connected: Connected, view: RunView, step: StepView) -> list[str]:
    """What a step wrote; nothing where KFP has no log of it, for what the run came to is known without."""
    if not step.pod:
        return []
    try:
        return (connected.kubeflow.log(view.id, step.pod) or "").splitlines()
    except ClusterError:
        return []
