"""Train: from a validated dataset to a published, signed bundle."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from noria.errors import EvidenceError, ObjectMissingError, TrainingError
from noria.gates.evidence import DataEvidence
from noria.ml.bundle import Bundle, Calibration, Facts, write_bundle
from noria.ml.content import hash_rows, leaked_rows
from noria.ml.dataset import Dataset, utc
from noria.ml.progress import Progress
from noria.ml.splits import Split, split_rows
from noria.ml.training import Trained, TrainingParameters
from noria.steps.workspace import Workspace
from noria.stores.objects import ObjectStore
from noria.task import Rows, TakesFeatures, Task, load_task

PARITY_ROWS = 1000


@dataclass(frozen=True, kw_only=True)
class StoredCheckpoints:
    """The unfinished training's state in the object store, so that another machine can go on with it."""

    store: ObjectStore
    key: str

    def load(self) -> bytes | None:
        try:
            return self.store.get(self.key)
        except ObjectMissingError:
            return None

    def save(self, data: bytes) -> None:
        self.store.put(self.key, data)


def train(
    workspace: Workspace,
    *,
    uri: str,
    evidence: str,
    validation_days: int,
    holdout_days: int,
    recipe: TrainingParameters,
    code: str,
    progress: Progress,
) -> tuple[Bundle, str]:
    """Train on the dataset's oldest days, export, and publish; returns the verified bundle and its URI.

    A training that was killed goes on from its last whole epoch. Raises EvidenceError where the data were not
    validated, TrainingError where no usable model came out.
    """
    from noria.ml.loop import train as fit

    dataset = workspace.fetch_dataset(uri)
    _check_evidence(dataset, Path(evidence))
    task = load_task(dataset.facts.task)
    rows = dataset.load()
    split = split_rows(dataset.schema, rows, validation_days=validation_days, holdout_days=holdout_days)
    hashes = hash_rows(rows, dataset.schema)
    kept, chosen = (
        np.setdiff1d(part, leaked_rows(hashes, part, split.holdout)) for part in (split.train, split.validation)
    )
    # First, as a rule that cannot be written is told before the training, and not after it.
    rule = _write_rule(task, _take(rows, kept)) if task.fallback else None
    checkpoints = StoredCheckpoints(store=workspace.store, key=_checkpoint_key(dataset, recipe, split, code))
    trained = fit(task, _take(rows, kept), _take(rows, chosen), recipe, checkpoints, progress)
    progress("exporting to ONNX", None)
    with workspace.scratch() as folder:
        made = _write(workspace, folder / "bundle", task, dataset, (rows, kept, chosen), trained, rule, recipe, code)
        workspace.store.put_folder(f"bundles/{made}", folder / "bundle")
    workspace.store.delete(checkpoints.key)
    return workspace.fetch_bundle(made), workspace.store.uri(f"bundles/{made}")


def _write(
    workspace: Workspace,
    folder: Path,
    task: Task,
    dataset: Dataset,
    parts: tuple[Rows, NDArray[np.int64], NDArray[np.int64]],
    trained: Trained,
    rule: bytes | None,
    recipe: TrainingParameters,
    code: str,
) -> str:
    """Calibrate on the validation rows, export, check the export, and write the bundle; returns its digest."""
    from noria.ml.calibration import fit_temperature
    from noria.ml.export import check_parity, export_onnx
    from noria.ml.feeding import compute_logits, read_features
    from noria.ml.inference import Session, predict
    from noria.ml.metrics import expected_calibration_error
    from noria.ml.profile import describe, encode

    rows, kept, chosen = parts
    schema = dataset.schema
    validation = _take(rows, chosen)
    labels = validation[schema.label.name]
    logits = compute_logits(trained.network, read_features(schema, validation)).astype(np.float64)
    temperature = fit_temperature(logits, labels)
    model = export_onnx(trained.network, schema, temperature)
    parity = check_parity(trained.network, temperature, schema, model, _take(rows, kept[:PARITY_ROWS]))
    probabilities = predict(Session.load(model), validation)
    facts = Facts(
        task=task.name,
        schema=schema,
        classes=task.classes,
        costs=task.costs,
        temperature=temperature,
        calibration=Calibration(
            ece_before=expected_calibration_error(_softmax(logits), labels),
            ece_after=expected_calibration_error(probabilities, labels),
        ),
        training_data=dataset.digest,
        training_rows=len(kept),
        training_start=utc(rows[schema.time.name][kept[0]]),
        training_end=utc(rows[schema.time.name][chosen[-1]]),
        parameters=asdict(recipe),
        metrics={"accuracy": trained.best.validation_accuracy, "log_loss": trained.best.validation_loss},
        parity=parity,
        code=code,
        service=task.service if isinstance(task, TakesFeatures) else None,
        fallback=rule is not None,
    )
    profile = encode(describe(schema, validation, probabilities))
    return write_bundle(folder, model=model, facts=facts, profile=profile, signer=workspace.signer, rule=rule)


def _write_rule(task: Task, rows: Rows) -> bytes:
    """Fit the rule on the rows that the model learned from, and write its graph."""
    from noria.ml.rule import export_rule

    known = {column.name: rows[column.name] for column in (*task.schema.features, task.schema.time)}
    rule = task.fit_rule(known, rows[task.schema.label.name])
    return export_rule(task, rule, {name: values[:PARITY_ROWS] for name, values in known.items()})


def _check_evidence(dataset: Dataset, path: Path) -> None:
    evidence = msgspec.json.decode(path.read_bytes(), type=DataEvidence)
    if evidence.dataset != dataset.digest or evidence.violations:
        raise EvidenceError(
            f"the data evidence is of dataset {evidence.dataset[:12]} with {evidence.violations} violations: training "
            f"needs it of {dataset.digest[:12]} with none; run validate on this dataset"
        )


def _checkpoint_key(dataset: Dataset, recipe: TrainingParameters, split: Split, code: str) -> str:
    what = [dataset.digest, asdict(recipe), len(split.train), len(split.validation), code]
    return f"checkpoints/{hashlib.sha256(msgspec.json.encode(what, order='deterministic')).hexdigest()}"


def _take(rows: Rows, which: NDArray[np.int64]) -> dict[str, NDArray[Any]]:
    if len(which) == 0:
        raise TrainingError(
            "no row is left to learn from once those that also stand in the holdout are dropped: widen the window"
        )
    return {name: values[which] for name, values in rows.items()}


def _softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    weights = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))
