"""Judge: put all evidence before the gates, and write down what they say."""

from kfp import dsl

from components.step import step


@step
def judge(
    data: dsl.Input[dsl.Artifact],
    bundle: str,
    evaluation: dsl.Input[dsl.Artifact],
    serving: dsl.Input[dsl.Artifact],
    limits: dict,
    environment_limits: dict,
    plan: str,
    basis: str,
    code: str,
    store: str,
    decision: dsl.Output[dsl.Artifact],
    report: dsl.Output[dsl.HTML],
    summary: dsl.Output[dsl.Markdown],
) -> str:
    """Decide whether the candidate may go up; returns "promote" or "refuse".

    Args:
        data: evidence of the data.
        bundle: address of the candidate.
        evaluation: evidence of its quality.
        serving: evidence of its answers.
        limits: of the gates.
        environment_limits: those of the environment's own file; where the others depart from them, it is told.
        plan: digest of the run's inputs.
        basis: the ledger entry that made the champion which the candidate was compared with.
        code: digest of the code that the steps run.
        store: the object store's own name; what was published in one that is gone is no cache hit.
        decision: the evidence, the limits and the verdict.
        report: all of it for people.
        summary: the verdict in a few lines, such as "refused, because …".
    """
    from pathlib import Path

    from noria.steps.judge import judge
    from noria.steps.running import running

    with running("judge") as run:
        evidence = {"data": data.path, "evaluation": evaluation.path, "serving": serving.path}
        release = {"plan": plan, "basis": basis, "code": code}
        bounds = {"limits": limits, "environment_limits": environment_limits}
        made = judge(run.workspace, bundle=bundle, evidence=evidence, **bounds, **release)
        Path(decision.path).write_bytes(made.encoded)
        decision.metadata = {"code": code, "store": store}
        Path(report.path).write_text(made.page)
        Path(summary.path).write_text(made.summary)
        run.progress(made.told, None)
        return made.word
