"""The verbs for a cluster, as a person types them: each does what it says, and each fault is told in one line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubeflow_api import Fault, KubeflowApi, all_done, frame
from noria_command import ROOT, Done, Noria
from typer.testing import CliRunner

from noria.cli.main import app
from noria.errors import UsageError
from pipelines.compiling import COMPILED

DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """A Kubeflow Pipelines, and the command in a home of its own whose settings lead there."""

    api: KubeflowApi
    noria: Noria

    def __call__(self, *words: str) -> Done:
        done = self.noria(*words)
        assert "Traceback" not in done.out + done.err
        return done

    @property
    def last_run(self) -> dict[str, Any]:
        return list(self.api.runs.values())[-1]


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    with KubeflowApi() as api:
        noria = Noria(home=tmp_path / "home", site=tmp_path)
        yield Cluster(api=api, noria=noria.with_settings(NORIA_KFP=api.host))


def test_a_run_is_submitted_with_the_parameters_of_a_run_here(cluster: Cluster) -> None:
    cluster.api.frames = [frame("RUNNING", settle="RUNNING"), all_done(deploy="SKIPPED")]
    cluster.api.logs["judge"] = 'noria-progress {"step":"judge","text":"refused, because calibrated: 0.04"}\n'
    done = cluster("submit", "--param", "seed=2", "--param", "limits.ece=0.01", "--wait", "--json")
    assert done.code == 3, done.err
    told = done.told
    assert (told["outcome"], told["reason"], told["state"]) == ("refused", "calibrated: 0.04", "SUCCEEDED")
    assert told["name"].startswith("fashion 2017-09-01..2017-11-10 seed 2 asked ")
    assert told["steps"]["deploy"]["state"] == "skipped"
    assert "settle: done" in done.err
    given = cluster.last_run["runtime_config"]["parameters"]
    here = cluster("plan", "--param", "seed=2", "--param", "limits.ece=0.01", "--json").told["parameters"]
    assert {**here, **dict.fromkeys(("source", "code", "plan", "basis", "champion"), "")} == {
        name: value for name, value in given.items() if name not in ("at", "days")
    }
    assert given["days"] == 0
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT[0-9:.]+Z", given["at"])
    (version,) = cluster.api.versions.values()
    assert version["display_name"] == told["version"]
    spec = next(iter(yaml.safe_load_all(version["text"])))
    assert set(spec["root"]["inputDefinitions"]["parameters"]) == set(given)
    assert not (cluster.noria.home or Path()).exists(), "neither stores nor keys are needed here"


@pytest.mark.parametrize("words", [("submit",), ("schedule", "add", "--every", "1d")])
def test_an_environment_that_wants_the_image_by_its_digest_is_heeded(cluster: Cluster, words: tuple[str, ...]) -> None:
    done = cluster(*words, "--task", "fashion", "--env", "prod", "--image", "r.example/noria/python-steps:0.1.0")
    assert done.code == 2, done.err
    assert "image_by_digest is True in prod.yaml" in done.err
    assert not cluster.api.runs
    assert not cluster.api.schedules


@pytest.mark.parametrize("release", ["2.17.0", "2.18.0"])
def test_a_run_is_found_read_and_ended(cluster: Cluster, release: str) -> None:
    cluster.api.release = release
    submitted = cluster("submit")
    assert (submitted.code, cluster.api.experiments.popitem()[1]["display_name"]) == (0, "fashion"), submitted.err
    run = cluster.last_run["run_id"]
    assert f"/#/runs/details/{run}" in submitted.out
    assert f"noria cancel {run[:8]}" in submitted.out
    cluster.api.frames = [frame("RUNNING", settle="SUCCEEDED", ingest="cached", train="RUNNING")]
    cluster.api.logs |= {"settle": 'noria-progress {"step":"settle","text":"plan abc"}\n', "train": "epoch 1\n"}
    logs = cluster("logs", run[:8])
    assert logs.out == "== settle (done)\nplan abc\n== train (running)\nepoch 1\n"
    assert cluster("logs", run, "--step", "ingest").out == "== ingest (cached)\nno log: it is cached\n"
    assert run[:8] in cluster("runs").out
    (listed,) = cluster("runs", "--json").told
    assert (listed["id"], listed["state"], "steps" in listed) == (run, "RUNNING", False)
    cancelled = cluster("cancel", run[:4], "--json")
    assert (cancelled.code, cancelled.told["run"], cluster.last_run["state"]) == (0, run, "CANCELED")
    again = cluster("cancel", run)
    assert (again.code, "ended already, canceled" in again.err) == (2, True)


def test_a_schedule_is_added_listed_paused_and_deleted(cluster: Cluster) -> None:
    added = cluster("schedule", "add", "--task", "flights", "--cron", "0 2 * * *", "--days", "90", "--json")
    assert added.code == 0, added.err
    (kept,) = cluster.api.schedules.values()
    assert kept["trigger"] == {"cron_schedule": {"cron": "0 0 2 * * *"}}
    assert (kept["no_catchup"], kept["max_concurrency"]) == (True, 1)
    given = kept["runtime_config"]["parameters"]
    assert [given[name] for name in ("days", "at", "start", "end", "as_of", "plan")] == [
        90, "[[ScheduledTime]]", "", "", "", ""
    ]  # fmt: skip
    assert kept["display_name"].startswith("flights the last 90 days seed ")
    short = kept["recurring_run_id"][:8]
    assert "on " in cluster("schedule").out
    assert cluster("schedule", "pause", short).code == 0
    assert re.search(rf"{short} +paused", cluster("schedule").out)
    assert cluster("schedule", "delete", short, "--json").told["change"] == "deleted"
    gone = cluster("schedule", "resume", short)
    assert (gone.code, "`noria schedule` lists the schedules" in gone.err) == (2, True)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("logs", "3f2a91c0"), "0 of the newest runs begin with '3f2a91c0': `noria runs` lists them"),
        (("cancel", "3f2a91c0-0000-0000-0000-000000000000"), "no run 3f2a91c0-0000-0000-0000-000000000000 at http"),
        (("submit", "--param", "sed=2"), "no parameter 'sed'"),
        (("submit", "--image", "steps:latest"), "KFP's cache goes by the image's name"),
        (("schedule", "add", "--every", "soon"), "--every 'soon' is no span"),
        (("schedule", "add", "--every", "1d", "--days", "7", "--param", "end=2017-11-01"), "end and --days"),
        (("schedule", "add", "--every", "1d", "--days", "7"), "leave none to train on"),
    ],
)
def test_a_word_that_means_nothing_is_told(
    cluster: Cluster, words: tuple[str, ...], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("NORIA_KFP", cluster.api.host)
    done = CliRunner().invoke(app, words)
    assert isinstance(done.exception, UsageError), done.output
    assert said in str(done.exception)
    assert not cluster.api.runs


def test_a_cluster_that_refuses_is_told_as_one_line_and_as_json(cluster: Cluster, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("expired-token\n")
    cluster.api.token = "fresh"
    asked = Cluster(api=cluster.api, noria=cluster.noria.with_settings(NORIA_KFP_TOKEN_FILE=str(tmp_path / "token")))
    done = asked("runs", "--json")
    assert (done.code, done.told["kind"]) == (1, "ClusterError")
    assert "does not take the token in" in done.told["error"]
    assert done.err.count("\n") == 1
    assert "expired-token" not in done.out + done.err


def test_without_a_cluster_and_with_a_bad_address_nothing_starts(cluster: Cluster) -> None:
    for host, code, said in (
        ("", 2, "set NORIA_KFP to the address of Kubeflow Pipelines"),
        ("localhost:8080", 2, "NORIA_KFP is 'localhost:8080': expected http://host:port"),
        ("http://127.0.0.1:1", 1, "cannot be reached"),
    ):
        done = Cluster(api=cluster.api, noria=cluster.noria.with_settings(NORIA_KFP=host))("runs")
        assert (done.code, said in done.err) == (code, True), done.err


def test_a_server_that_fails_at_the_start_of_a_run_starts_none(cluster: Cluster) -> None:
    cluster.api.faults.append(Fault(method="POST", path="/v2beta1/runs", what=500))
    done = cluster("submit")
    assert (done.code, "failed to run 'fashion 2017-09-01..2017-11-10 seed 1 asked" in done.err) == (1, True)
    assert not cluster.api.runs


def test_a_compiled_file_for_a_cluster_holds_its_choices(cluster: Cluster, tmp_path: Path) -> None:
    before, out = COMPILED.read_bytes(), tmp_path / "out.yaml"
    noria = cluster.noria.with_settings(NORIA_IMAGE="r.example/steps:7")
    done = noria("compile", "--out", str(out), "--gpus", "1", "--node", "pool=training")
    assert done.code == 0, done.err
    text = out.read_text()
    assert {line.strip() for line in text.splitlines() if "image:" in line} == {"image: r.example/steps:7"}
    assert ("nvidia.com/gpu" in text, "pool: training" in text) == (True, True)
    refused = noria("compile", "--gpus", "1")
    assert (refused.code, "name a file of its own for this with --out" in refused.err) == (2, True)
    assert before == COMPILED.read_bytes()


SECRETS = {
    "token": "tok-3f9a17c2", "password": "pw-77aa01e4", "registry": "sqlpw-51c0de", "key": "AKIA-SECRET-901f",
    "front": "sqlfront-7d12", "rear": "sqlrear-b04e",
}  # fmt: skip


def test_no_secret_is_ever_shown(cluster: Cluster, tmp_path: Path) -> None:
    for name in ("token", "password"):
        (tmp_path / name).write_text(SECRETS[name])
    cluster.api.token = SECRETS["token"]
    settings = {
        "NORIA_KFP_TOKEN_FILE": str(tmp_path / "token"),
        "NORIA_ONLINE": "redis://127.0.0.1:1/0",
        "NORIA_ONLINE_PASSWORD_FILE": str(tmp_path / "password"),
        "NORIA_REGISTRY": f"postgresql+psycopg://feast:{SECRETS['registry']}@127.0.0.1:1/feast",
        "AWS_ACCESS_KEY_ID": "anyone",
        "AWS_SECRET_ACCESS_KEY": SECRETS["key"],
    }
    cluster.api.frames = [all_done()]
    noria = cluster.noria.with_settings(**settings)
    out = tmp_path / "out.yaml"
    shown = [
        noria(*words)
        for words in (
            ("submit", "--wait"), ("submit", "--json"), ("plan",), ("doctor",), ("doctor", "--json"),
            ("compile", "--out", str(out)), ("schedule", "add", "--every", "1d"),
        )
    ]  # fmt: skip
    assert [done.code for done in shown] == [0, 0, 0, 1, 1, 0, 0], [done.err for done in shown]
    assert "postgresql+psycopg at 127.0.0.1:1 cannot be reached" in shown[4].out
    cluster.api.token = "another"
    shown.append(noria("submit"))
    shown.append(noria.with_settings(NORIA_KFP=f"http://me:{SECRETS['password']}@kfp.example")("runs"))
    assert [done.code for done in shown[-2:]] == [1, 2]
    kept = [str(one) for one in (*cluster.api.runs.values(), *cluster.api.versions.values())]
    logs = [path.read_text() for path in (cluster.noria.home or tmp_path).rglob("*.log")]
    # What a person means as a password, and an address that is split by the rules takes for a port.
    front, rear = SECRETS["front"], SECRETS["rear"]
    for words in (f"{front}#{rear}@h", f"{front}/{rear}@h", f"{front}@h:x"):
        shown.append(noria.with_settings(NORIA_REGISTRY=f"postgresql://feast:{words}/feast")("doctor", "--json"))
        assert (shown[-1].code, "Traceback" in shown[-1].err) == (1, False), shown[-1].err
        assert "escape / # ? @ in the password" in shown[-1].out
    texts = [*(done.out + done.err for done in shown), *kept, *logs, out.read_text()]
    for name, secret in SECRETS.items():
        assert not [text for text in texts if secret in text], name
