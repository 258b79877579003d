"""Spans: whether the days that a run would take for its parts are in the data, as far as those are known."""

from __future__ import annotations

from datetime import timedelta

import msgspec

from noria.cli.preparing import Prepared
from noria.errors import ObjectMissingError, UsageError
from noria.ml.bundle import FACTS_FILE, Facts
from noria.ml.dataset import DatasetFacts
from noria.stores.runs import RunLog, RunRecord

LOOKED_AT = 20  # runs: an earlier one than these had most likely another source
SAME = ("source", "code", "start", "end", "as_of")  # with these the same, a run reads the same rows


def check_span(prepared: Prepared) -> None:
    """Refuse with UsageError what step validate would refuse, where an earlier run has read these very rows."""
    dataset = _read_before(prepared)
    if dataset is None:
        return
    parameters, span = prepared.parameters, (dataset.end.date() - dataset.start.date() + timedelta(days=1)).days
    if (asked := parameters.validation_days + parameters.holdout_days) >= span:
        raise UsageError(
            f"validation_days is {parameters.validation_days} and holdout_days {parameters.holdout_days}: expected "
            f"fewer together than the {span} days of the data, {dataset.start:%Y-%m-%d} to {dataset.end:%Y-%m-%d}, "
            f"for {asked} leave none to train on. Widen the window or shorten these"
        )


def _read_before(prepared: Prepared) -> DatasetFacts | None:
    """The facts of the dataset that an earlier run made of the same source, code and window; None if none is known."""
    wanted = prepared.parameters.arguments()
    for run in RunLog(prepared.workspace.store, prepared.task.name).last(LOOKED_AT):
        if run.bundle and all(run.parameters.get(name) == wanted[name] for name in SAME):
            return _dataset_of(prepared, run)
    return None


def _dataset_of(prepared: Prepared, run: RunRecord) -> DatasetFacts | None:
    store = prepared.workspace.store
    try:
        bundle = msgspec.json.decode(store.get(f"bundles/{run.bundle}/{FACTS_FILE}"), type=Facts)
        return msgspec.json.decode(store.get(f"datasets/{bundle.training_data}/dataset.json"), type=DatasetFacts)
    except (ObjectMissingError, msgspec.DecodeError):  # lost, or of another version: then nothing is known
        return None
