"""Train: from a validated dataset to a signed bundle."""

from kfp import dsl

from components.step import step


@step
def train(
    dataset: str,
    evidence: dsl.Input[dsl.Artifact],
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
    code: str,
    store: str,
    bundle: dsl.Output[dsl.Model],
) -> str:
    """Train a candidate and publish it as a bundle; returns its address, which is of its content.

    Args:
        dataset: address of the rows; the holdout is not read.
        evidence: of the data; training does not start without it.
        validation_days: days before the holdout that choose the epoch.
        holdout_days: the newest days, which only the gates see.
        seed: of all randomness; equal seed, equal weights.
        epochs: the most epochs.
        batch_size: rows a step.
        learning_rate: the highest of the schedule.
        patience: epochs without gain on the validation rows before training stops.
        threads: compute threads; the weights depend on it.
        network: the task's own options for its network.
        training: weight_decay, label_smoothing, precision, class_weight, device; what is not said is as usual.
        code: digest of the code that the steps run.
        store: the object store's own name; what was published in one that is gone is no cache hit.
        bundle: the bundle's address, for people; there are model.onnx and what belongs to it.
    """
    from dataclasses import asdict
    from pathlib import Path

    from noria.ml.training import TrainingOptions, TrainingParameters
    from noria.steps.groups import read_group, read_values
    from noria.steps.running import running
    from noria.steps.train import train

    with running("train") as run:
        recipe = TrainingParameters(
            seed=seed,
            epochs=epochs,
            batch_size=batch_size,
            learning_rate=learning_rate,
            patience=patience,
            threads=threads,
            network=read_values(network),
            **asdict(read_group("training", training, TrainingOptions)),
        )
        days = {"validation_days": validation_days, "holdout_days": holdout_days}
        made, address = train(
            run.workspace,
            uri=dataset,
            evidence=evidence.path,
            recipe=recipe,
            **days,
            code=code,
            progress=run.progress,
        )
        found = {"digest": made.digest, "task": made.facts.task, "dataset": made.facts.training_data}
        bundle.metadata = {**found, "address": address, "store": store}
        Path(bundle.path).write_text(address)
        return address
