"""The pipeline by the rules of Kubeflow Pipelines: fresh pods, its own bucket, a cache that outlives ours."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
from cluster_api.kfp_world import BUCKET, KfpWorld, Run
from noria_command import ROOT

from noria.cli.watching import REFUSAL
from noria.ml.signature import make_key
from noria.steps.deploy import UNCHANGED
from noria.steps.running import parse_event
from pipelines.compiling import COMPILED
from pipelines.overlay import Choices, lay_over

AT = "2026-03-05T02:00:00Z"
CACHED = {"ingest", "features", "validate", "train", "evaluate", "rehearse", "judge"}
PROGRAM = """
import json, sys
from noria.cli.project import enter_project
enter_project()
from noria.cli.submit import ask_for
print(json.dumps(ask_for("wine", "dev", ["threads=1", *sys.argv[1:]], at="2026-03-05T02:00:00Z").arguments))
"""


@dataclass(kw_only=True)
class Cluster:
    """KFP and an object store; `submit` runs the pipeline as `noria submit` asks for it."""

    kfp: KfpWorld
    environment: dict[str, str]
    bucket: str

    def submit(self, *pairs: str) -> Run:
        asked = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", PROGRAM, *pairs], cwd=ROOT, env=self.environment, text=True,
            capture_output=True, check=False,
        )  # fmt: skip
        assert asked.returncode == 0, asked.stderr
        arguments: dict[str, Any] = json.loads(asked.stdout)
        return self.kfp.run(lay_over(COMPILED, Choices()), arguments)

    def page(self, run: Run, step: str, name: str) -> str:
        return self.kfp.read(run.outputs[step].artifacts[name]).decode()


@dataclass(frozen=True, kw_only=True)
class Story:
    cluster: Cluster
    first: Run
    again: Run
    invalid: Run
    refused: Run
    emptied: Run
    other_data: Run


def lose(server: Any, address: str) -> None:
    """Remove every object of a store."""
    keys = {"aws_access_key_id": "anyone", "aws_secret_access_key": "anything", "region_name": "us-east-1"}
    bucket = boto3.session.Session().resource("s3", endpoint_url=server.endpoint, **keys).Bucket(server.bucket)
    gone = [item.key for item in bucket.objects.filter(Prefix=address.rpartition("/")[2])]
    for key in gone:
        bucket.Object(key).delete()
    assert gone


@pytest.fixture(scope="module")
def story(s3_server: Any, wine_site: Path, tmp_path_factory: pytest.TempPathFactory) -> Story:
    folder = tmp_path_factory.mktemp("kfp")
    make_key(folder / "keys")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("NORIA_", "AWS_"))}
    environment = {
        **kept, "PYTHONPATH": str(wine_site), "NORIA_HOME": str(folder / "home"),
        "NORIA_OBJECTS": f"s3://{s3_server.bucket}/{uuid.uuid4().hex}",
        "NORIA_SIGNING_KEY": str(folder / "keys" / "signing.pem"),
        "NORIA_TRUSTED_KEYS": str(folder / "keys" / "trusted"),
        "AWS_ENDPOINT_URL": s3_server.endpoint, "AWS_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "anyone",
        "AWS_SECRET_ACCESS_KEY": "anything",
    }  # fmt: skip
    cluster = Cluster(
        kfp=KfpWorld(folder=folder, environment=environment), environment=environment, bucket=s3_server.bucket
    )
    first, again = cluster.submit(), cluster.submit()
    invalid, refused = cluster.submit("rules.min_rows=100000"), cluster.submit("limits.ece=0.0")
    # The store is lost, with all that is in it, and KFP's cache is not.
    lose(s3_server, environment["NORIA_OBJECTS"])
    emptied = cluster.submit()
    cluster.kfp.names_by_key = True
    cluster.kfp.cache.clear()
    cluster.submit()
    other_data = cluster.submit("end=2026-02-26")
    return Story(
        cluster=cluster, first=first, again=again, invalid=invalid, refused=refused, emptied=emptied,
        other_data=other_data,
    )  # fmt: skip


def test_a_run_goes_from_new_data_to_a_champion(story: Story) -> None:
    assert story.first.steps("done") == {"settle", *CACHED, "deploy"}, story.first.logs
    assert "is champion since" in story.first.logs["deploy"]
    assert UNCHANGED not in story.first.logs["deploy"]


def test_each_artifact_lies_where_kfp_put_it_and_leads_to_what_was_published(story: Story) -> None:
    found = {(step, name): one for step, made in story.first.outputs.items() for name, one in made.artifacts.items()}
    assert all(one.uri.startswith(f"{BUCKET}/v2/artifacts/") for one in found.values())
    for step, name in [("ingest", "dataset"), ("features", "dataset"), ("train", "bundle")]:
        address = found[step, name].metadata["address"]
        assert story.cluster.page(story.first, step, name) == address
        assert address in story.first.outputs[step].parameters.values()
        assert address.startswith(f"s3://{story.cluster.bucket}/")


def test_the_pages_of_the_run_are_shown(story: Story) -> None:
    run, page = story.first, story.cluster.page
    assert page(run, "judge", "report").startswith("<!doctype html>")
    assert page(run, "validate", "report").startswith("<!doctype html>")
    assert "break no rule" in page(run, "validate", "summary")
    assert page(run, "judge", "summary").startswith("passed all 13 gates")
    matrix = run.outputs["evaluate"].artifacts["confusion"].metadata["confusionMatrix"]
    assert [one["displayName"] for one in matrix["annotationSpecs"]] == ["plain", "good", "fine"]
    figures = run.outputs["evaluate"].artifacts["metrics"].metadata
    assert figures["candidate_accuracy"] > 0.5


def test_the_same_run_again_finds_all_but_two_steps_done_and_changes_nothing(story: Story) -> None:
    assert story.again.steps("cached") == CACHED
    assert story.again.steps("done") == {"settle", "deploy"}
    assert UNCHANGED in story.again.logs["deploy"]


def test_invalid_data_end_a_run_that_has_not_failed(story: Story) -> None:
    run = story.invalid
    assert (run.steps("failed"), run.states["valid-data"]) == (set(), "skipped")
    assert not {"train", "judge", "deploy"} & set(run.states)
    summary = story.cluster.page(run, "validate", "summary")
    assert summary.startswith("refused, because the data break 1 rules (min-rows")
    events = [found for line in run.logs["validate"].splitlines() if (found := parse_event(line))]
    assert [event.exit_code for mark, event in events if mark == REFUSAL] == [3]
    assert story.cluster.page(run, "validate", "report").startswith("<!doctype html>")


def test_a_candidate_that_a_gate_refuses_is_not_deployed_and_the_run_says_why(story: Story) -> None:
    run = story.refused
    assert (run.steps("failed"), run.states["passed-the-gates"]) == (set(), "skipped")
    assert run.steps("cached") == {"ingest", "features", "validate", "train", "rehearse"}  # what limits do not touch
    assert story.cluster.page(run, "judge", "summary").startswith("refused, because calibrated: ")


def test_a_cache_that_outlives_the_store_is_not_believed(story: Story) -> None:
    # What is kept with KFP and was made of the same bytes is as good as before.
    assert story.emptied.steps("cached") == {"evaluate", "rehearse"}
    assert story.emptied.steps("done") == {"settle", *CACHED, "deploy"} - {"evaluate", "rehearse"}, story.emptied.logs
    digests = [run.outputs["train"].artifacts["bundle"].metadata["digest"] for run in (story.first, story.emptied)]
    assert digests[0] == digests[1]


def test_other_data_are_no_cache_hit_however_kfp_names_artifacts(story: Story) -> None:
    run = story.other_data
    assert run.steps("cached") == set()
    trained = [one.outputs["train"].artifacts["bundle"].metadata["dataset"] for one in (story.first, run)]
    assert trained[0] != trained[1] == run.outputs["ingest"].artifacts["dataset"].metadata["digest"]
