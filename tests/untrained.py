"""Untrained: a bundle of a task's own network that has learned nothing, to see what a model is given."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from noria.features import FeatureService
from noria.ml.bundle import Bundle, Calibration, Facts, open_bundle, write_bundle
from noria.ml.export import export_onnx
from noria.steps.workspace import Workspace
from noria.task import Task, Value, Window


def untrained_bundle(
    workspace: Workspace,
    folder: Path,
    task: Task,
    service: FeatureService,
    *,
    network: Mapping[str, Value],
    window: Window,
) -> Bundle:
    """Write and open it; `network` are the options of the task's own."""
    built = task.build_network(network).eval()
    facts = Facts(
        task=task.name, schema=task.schema, classes=task.classes, costs=task.costs, temperature=1.0,
        calibration=Calibration(ece_before=0.1, ece_after=0.1), training_data="0" * 64, training_rows=1,
        training_start=window.start, training_end=window.end, parameters={}, metrics={}, parity=0.0, code="test",
        service=service,
    )  # fmt: skip
    write_bundle(
        folder, model=export_onnx(built, task.schema, 1.0), facts=facts, profile=b"{}", signer=workspace.signer
    )
    return open_bundle(folder, trusted=workspace.trusted)
