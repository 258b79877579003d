"""Training: from a window of new data to a champion, or to a refusal that says why."""

from kfp import dsl

from components.deploy import deploy
from components.evaluate import evaluate
from components.features import features
from components.ingest import ingest
from components.judge import judge
from components.rehearse import rehearse
from components.settle import settle
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
    days: int = 0,
    at: str = "",
) -> None:
    cuts = {"validation_days": validation_days, "holdout_days": holdout_days}
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
    load = {"requests": requests, "load_requests": load_requests}
    bounds = {"limits": limits, "environment_limits": environment_limits}
    asked = {"start": start, "end": end, "as_of": as_of, "source": source, "code": code}
    known = {"champion": champion, "basis": basis, "plan": plan, "days": days, "at": at}
    all_else = {"task": task, "draws": draws, "rules": rules}
    found = place(settle(**all_else, **asked, **cuts, **recipe, **load, **bounds, **known))
    settled = found.set_caching_options(False).outputs  # what it finds is in none of its inputs
    code = settled["code"]
    release = {"plan": settled["plan"], "basis": settled["basis"], "code": code}
    here = {"code": code, "store": settled["store"]}  # of each step that publishes in our store
    when = {"start": settled["start"], "end": settled["end"], "as_of": settled["as_of"]}
    read = place(ingest(task=task, source=settled["source"], **when, **here)).outputs
    rows = place(features(task=task, events=read["events"], tables=read["tables"], **here)).outputs["Output"]
    checked = place(validate(dataset=rows, **cuts, **when, rules=rules, **here)).outputs
    with dsl.If(checked["Output"] == "valid", name="valid-data"):
        data = checked["evidence"]
        bundle = place(train(dataset=rows, evidence=data, **cuts, **recipe, **here)).outputs["Output"]
        how = {"draws": draws, "seed": seed, "limits": limits}
        scored = place(evaluate(dataset=rows, bundle=bundle, champion=settled["champion"], **cuts, **how, code=code))
        served = place(rehearse(dataset=rows, bundle=bundle, **cuts, **load, code=code))
        shown = {"evaluation": scored.outputs["evaluation"], "serving": served.outputs["evidence"]}
        judged = place(judge(data=data, bundle=bundle, **shown, **bounds, **release, store=settled["store"]))
        with dsl.If(judged.outputs["Output"] == "promote", name="passed-the-gates"):
            decision = judged.outputs["decision"]
            # Never cached either: it makes what serves as the ledger has it, where somebody changed that since.
            place(deploy(dataset=rows, bundle=bundle, decision=decision, **cuts, **release)).set_caching_options(False)
