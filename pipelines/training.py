"""Training: from a window of new data to a champion, or to a refusal that says why."""

from kfp import dsl

from components.deploy import deploy
from components.evaluate import evaluate
from components.features import features
from components.ingest import ingest
from components.judge import judge
from components.rehearse import rehearse
from components.train import train
from components.validate import validate
from pipelines.placement import place


@dsl.pipeline(name="noria-training", description="Train a candidate on new data; the gates decide whether it goes up.")
def training(
    task: str,
    start: str,
    end: str,
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
    as_of: str = "",
    source: str = "",
    code: str = "",
    champion: str = "",
    basis: str = "",
    plan: str = "",
) -> dsl.Artifact:
    days = {"validation_days": validation_days, "holdout_days": holdout_days}
    release = {"plan": plan, "basis": basis, "code": code}
    when = {"start": start, "end": end, "as_of": as_of}
    read = place(ingest(task=task, source=source, **when, code=code))
    asked = {"events": read.outputs["dataset"], "tables": read.outputs["tables"]}
    rows = place(features(task=task, **asked, code=code)).outputs["dataset"]
    valid = place(validate(dataset=rows, **days, **when, rules=rules, code=code)).outputs["evidence"]
    recipe = {
        "seed": seed,
        "epochs": epochs,
        "batch_size": batch_size,
        "learning_rate": learning_rate,
        "patience": patience,
        "threads": threads,
        "network": network,
        "training": training,
    }
    bundle = place(train(dataset=rows, evidence=valid, **days, **recipe, code=code)).outputs["bundle"]
    how = {"draws": draws, "seed": seed, "limits": limits}
    scored = place(evaluate(dataset=rows, bundle=bundle, champion=champion, **days, **how, code=code))
    load = {"requests": requests, "load_requests": load_requests}
    served = place(rehearse(dataset=rows, bundle=bundle, **days, **load, code=code))
    judged = place(
        judge(
            data=valid,
            bundle=bundle,
            evaluation=scored.outputs["evaluation"],
            serving=served.outputs["evidence"],
            limits=limits,
            environment_limits=environment_limits,
            **release,
        )
    )
    with dsl.If(judged.outputs["Output"] == "promote", name="passed-the-gates"):
        place(deploy(bundle=bundle, decision=judged.outputs["decision"], **release))
    return judged.outputs["decision"]
