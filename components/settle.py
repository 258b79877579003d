"""Settle: fix what the run does and what it is compared with, before its first row is read."""

from typing import NamedTuple

from components.step import step


@step
def settle(
    task: str,
    start: str,
    end: str,
    as_of: str,
    validation_days: int,
    holdout_days: int,
    seed: int,
    epochs: int,
    batch_size: int,
    learning_rate: float,
    patience: int,
    threads: int,
    network: dict,
    training: dict,
    draws: int,
    rules: dict,
    limits: dict,
    environment_limits: dict,
    requests: int,
    load_requests: int,
    source: str,
    code: str,
    champion: str,
    basis: str,
    plan: str,
    days: int,
    at: str,
) -> NamedTuple(  # type: ignore[valid-type]
    "Settled",
    [
        ("start", str),
        ("end", str),
        ("as_of", str),
        ("source", str),
        ("code", str),
        ("champion", str),
        ("basis", str),
        ("plan", str),
        ("store", str),
    ],
):
    """Hand a plan on that belongs to these parameters; make one where there is none, from the ledger as it is now.

    Args:
        task: the task's name.
        start: first instant of the window; "" where `days` says how long it is.
        end: first instant after the window.
        as_of: the moment of which training may know; "" is the end of the window.
        validation_days: as the steps that take it say; so all that follow, up to load_requests.
        holdout_days: days that only the gates see.
        seed: of all randomness.
        epochs: the most epochs.
        batch_size: rows a step.
        learning_rate: the highest of the schedule.
        patience: epochs without gain.
        threads: compute threads.
        network: the task's own options.
        training: weight_decay and the like.
        draws: bootstrap draws.
        rules: for the dataset as a whole.
        limits: of the gates.
        environment_limits: those of the environment's own file.
        requests: to the rehearsed server.
        load_requests: more of them, at once.
        source: fingerprint of the source; found here where there is no plan.
        code: digest of the code; found here where there is no plan.
        champion: digest of the bundle to measure up to; found here where there is no plan.
        basis: the ledger entry that made it champion; found here where there is no plan.
        plan: digest of the parameters; "" to settle here.
        days: whole days up to the last midnight before `at`; 0 takes start and end.
        at: the run's moment; "" for now.
    """
    given = {name: value for name, value in locals().items() if name not in ("days", "at")}
    from pathlib import Path

    from noria.steps.running import running
    from noria.steps.settle import outputs, settle

    with running("settle") as run:
        how = {"days": days, "at": at, "project": Path.cwd()}
        return outputs(settle(run.workspace, given, **how, progress=run.progress))
