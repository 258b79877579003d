"""Evaluate: score the candidate, the champion, the rule and no skill on the same held-out rows."""

from kfp import dsl

from components.step import step


@step
def evaluate(
    dataset: str,
    bundle: str,
    champion: str,
    validation_days: int,
    holdout_days: int,
    draws: int,
    seed: int,
    limits: dict,
    code: str,
    evaluation: dsl.Output[dsl.Artifact],
    metrics: dsl.Output[dsl.Metrics],
    confusion: dsl.Output[dsl.ClassificationMetrics],
) -> None:
    """Measure everything that the gates decide on.

    Args:
        dataset: address of the rows; only the holdout is scored.
        bundle: address of the candidate.
        champion: digest of the bundle it has to measure up to; "" where there is none.
        validation_days: days before the holdout.
        holdout_days: the newest days.
        draws: bootstrap draws.
        seed: of the bootstrap.
        limits: of the gates; the evaluation is made for their margins and confidence.
        code: digest of the code that the steps run.
        evaluation: all figures.
        metrics: the main figures, for the KFP UI.
        confusion: the confusion matrix, for the KFP UI.
    """
    from pathlib import Path

    from noria.steps.evaluate import evaluate
    from noria.steps.running import running

    with running("evaluate") as run:
        days = {"validation_days": validation_days, "holdout_days": holdout_days}
        how = {"draws": draws, "seed": seed, "limits": limits, "champion": champion}
        given = {"uri": dataset, "bundle": bundle}
        found = evaluate(run.workspace, **given, **days, **how, progress=run.progress)
        Path(evaluation.path).write_bytes(found.encoded)
        evaluation.metadata = {"code": code}
        metrics.metadata = found.figures  # numbers alone: KFP refuses a text among them
        confusion.log_confusion_matrix(list(found.evaluation.classes), found.confusion)
        for artifact in (metrics, confusion):
            Path(artifact.path).write_bytes(found.encoded)
