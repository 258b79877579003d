"""Cluster: KFP's own client speaks with a real server; each fault is one clear error, and nothing is done twice."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from kubeflow_api import STEPS, Fault, KubeflowApi, all_done, frame

from noria.errors import ClusterError, UsageError
from noria.settings import KfpSettings
from pipelines.cluster import Kubeflow, Published
from pipelines.kfp_errors import NotThereError, UnreachableError
from pipelines.schedules import (
    When,
    add_schedule,
    delete_schedule,
    list_schedules,
    parse_when,
    pause_schedule,
    resume_schedule,
)

TEXT = "pipelineInfo: {name: noria-training}\n"
RELEASES = ("2.15.0", "2.18.0")  # with nodes of Argo's, and with tasks of its own


@pytest.fixture
def api() -> Iterator[KubeflowApi]:
    with KubeflowApi() as server:
        yield server


@pytest.fixture
def kubeflow(api: KubeflowApi) -> Kubeflow:
    return Kubeflow(KfpSettings(host=api.host), steps=STEPS, read_seconds=0.3)


def sign_for_localhost(certificate: Path, key: Path) -> None:
    secret, name = (
        ec.generate_private_key(ec.SECP256R1()),
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "noria")]),
    )
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, secret.public_key(), x509.random_serial_number(), now, now + timedelta(1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(secret, hashes.SHA256())
    )
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    pem = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    key.write_bytes(secret.private_bytes(*pem))


def publish(kubeflow: Kubeflow, version: str = "0.1.0-abc") -> Published:
    return kubeflow.publish(TEXT, pipeline="noria-training", version=version)


def test_a_version_is_uploaded_once(api: KubeflowApi, kubeflow: Kubeflow) -> None:
    first, again, other = publish(kubeflow), publish(kubeflow), publish(kubeflow, "0.1.0-def")
    assert (first.new, again.new, other.new) == (True, False, True)
    assert (first.pipeline, first.version) == (again.pipeline, again.version)
    assert [one["display_name"] for one in api.pipelines.values()] == ["noria-training"]
    assert [one["display_name"] for one in api.versions.values()] == ["0.1.0-abc", "0.1.0-def"]
    assert {one["text"] for one in api.versions.values()} == {TEXT}


def test_who_uploads_the_same_at_the_same_moment_gets_the_version_of_the_faster_one(
    api: KubeflowApi, kubeflow: Kubeflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = publish(kubeflow)
    looks = itertools.count()
    find = Kubeflow._find_version
    monkeypatch.setattr(Kubeflow, "_find_version", lambda self, *words: find(self, *words) if next(looks) else "")
    assert publish(kubeflow).version == first.version


def test_a_run_is_found_in_the_experiment_of_its_task(api: KubeflowApi, kubeflow: Kubeflow) -> None:
    parameters = {"task": "fashion", "seed": 2, "rules": {"min_rows": 1000}, "learning_rate": 0.5, "plan": ""}
    run = kubeflow.submit(publish(kubeflow), experiment="fashion", name="fashion seed 2", parameters=parameters)
    kubeflow.submit(publish(kubeflow), experiment="fashion", name="fashion seed 3", parameters={})
    assert [one["display_name"] for one in api.experiments.values()] == ["fashion"]
    kept = api.runs[run.id]
    assert kept["runtime_config"]["parameters"] == parameters
    assert kept["experiment_id"] in api.experiments
    assert "service_account" not in kept
    assert [one.name for one in kubeflow.runs(experiment="fashion")] == ["fashion seed 3", "fashion seed 2"]
    assert kubeflow.runs(experiment="flights") == ()
    assert kubeflow.address_of(run.id) == f"{api.host}/#/runs/details/{run.id}"


def test_the_pods_work_as_whom_the_settings_name(api: KubeflowApi) -> None:
    kubeflow = Kubeflow(KfpSettings(host=api.host, service_account="noria-steps"), steps=STEPS)
    run = kubeflow.submit(publish(kubeflow), experiment="fashion", name="x", parameters={})
    assert api.runs[run.id]["service_account"] == "noria-steps"


@pytest.mark.parametrize("release", RELEASES)
def test_a_step_is_one_thing_however_many_nodes_it_has(api: KubeflowApi, kubeflow: Kubeflow, release: str) -> None:
    api.release = release
    api.frames = [frame("RUNNING", settle="SUCCEEDED", ingest="cached", features="cached", train="RUNNING")]
    api.logs["train"] = "epoch 1\nepoch 2\n"
    run = kubeflow.run(api.add_run("x"))
    states = {step.name: step.state for step in run.steps}
    assert list(states) == list(STEPS)
    assert states == {
        "settle": "done", "ingest": "cached", "features": "cached", "validate": "waiting", "train": "running",
        "evaluate": "waiting", "rehearse": "waiting", "judge": "waiting", "deploy": "waiting",
    }  # fmt: skip
    steps = {step.name: step for step in run.steps}
    assert (steps["settle"].seconds, steps["ingest"].pod, run.ended) == (12.0, "", False)
    assert kubeflow.log(run.id, steps["train"].pod) == "epoch 1\nepoch 2\n"


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("interface", [False, True])
def test_a_log_is_read_through_the_api_server_and_through_the_user_interface(
    api: KubeflowApi, kubeflow: Kubeflow, interface: bool, release: str
) -> None:
    api.interface, api.release = interface, release
    api.logs["train"] = "epoch 1\n"
    run = kubeflow.run(api.add_run("x"))
    pods = {step.name: step.pod for step in run.steps}
    assert kubeflow.log(run.id, pods["train"]) == "epoch 1\n"
    assert kubeflow.log(run.id, pods["judge"]) is None
    assert kubeflow.log(run.id, "another-pod-123") is None


@pytest.mark.parametrize("release", RELEASES)
def test_what_a_condition_kept_out_was_skipped_and_what_never_began_too(
    api: KubeflowApi, kubeflow: Kubeflow, release: str
) -> None:
    api.release = release
    api.frames = [all_done(deploy="SKIPPED")]
    refused = kubeflow.run(api.add_run("x"))
    assert (refused.steps[-1].state, refused.ended) == ("skipped", True)
    api.frames = [frame("FAILED", settle="SUCCEEDED", ingest="SUCCEEDED", features="SUCCEEDED", validate="FAILED")]
    failed = kubeflow.run(api.add_run("y"))
    assert [step.state for step in failed.steps] == ["done"] * 3 + ["failed"] + ["skipped"] * 5


def test_a_run_is_ended(api: KubeflowApi, kubeflow: Kubeflow) -> None:
    api.frames = [frame("RUNNING", settle="RUNNING")]
    run = api.add_run("x")
    kubeflow.cancel(run)
    assert kubeflow.run(run).state == "CANCELED"


def test_a_step_that_came_to_nothing_has_the_log_of_what_was_to_start_it(
    api: KubeflowApi, kubeflow: Kubeflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    pods = [{"name": "x-driver", "type": "DRIVER"}]
    tasks = [
        {"name": "settle", "type": "RUNTIME", "state": "FAILED", "pods": pods},
        {"name": "ingest", "type": "RUNTIME", "state": "RUNNING", "pods": pods},
        {"name": "features", "type": "DAG", "state": "FAILED", "pods": pods},
    ]
    api.release = "2.18.0"
    monkeypatch.setattr("kubeflow_api.tasks_of", lambda _: tasks)
    api.frames = [frame("RUNNING"), frame("FAILED")]
    run = api.add_run("x")
    going, over = kubeflow.run(run).steps, kubeflow.run(run).steps
    assert [(step.state, step.pod) for step in over[:3]] == [("failed", "x-driver"), ("stopped", ""), ("skipped", "")]
    assert [(step.state, step.pod) for step in going[:3]] == [("failed", "x-driver"), ("running", ""), ("waiting", "")]


@pytest.mark.parametrize("tasks", ["none", [{"name": 3}], [{"pods": "none"}]])
def test_tasks_that_are_none_are_told_as_another_answer(
    api: KubeflowApi, kubeflow: Kubeflow, tasks: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    api.release = "2.18.0"
    monkeypatch.setattr("kubeflow_api.tasks_of", lambda _: tasks)
    run = api.add_run("x")
    with pytest.raises(ClusterError, match="answers, but not as Kubeflow Pipelines 2 does"):
        kubeflow.run(run)


def test_each_namespace_has_its_own_runs_where_kfp_has_many_users(api: KubeflowApi) -> None:
    api.multi_user = True
    kubeflow = Kubeflow(KfpSettings(host=api.host, namespace="team-a"), steps=STEPS)
    kubeflow.submit(publish(kubeflow), experiment="fashion", name="x", parameters={})
    assert {one["namespace"] for one in (*api.experiments.values(), *api.pipelines.values())} == {"team-a"}


def test_a_token_is_read_anew_for_each_question(api: KubeflowApi, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("first\n")
    api.token = "first"
    kubeflow = Kubeflow(KfpSettings(host=api.host, token_file=token), steps=STEPS)
    assert kubeflow.runs() == ()
    api.token = "second"
    with pytest.raises(ClusterError, match=r"does not take the token in .*token, which is wrong or has expired"):
        kubeflow.runs()
    token.write_text("second\n")
    assert kubeflow.runs() == ()


@pytest.mark.parametrize("text", ["", "two\nlines", None])
def test_a_file_without_a_token_is_named_and_what_it_holds_is_not(
    api: KubeflowApi, tmp_path: Path, text: str | None
) -> None:
    token = tmp_path / "token"
    if text is not None:
        token.write_text(text)
    with pytest.raises(UsageError, match="NORIA_KFP_TOKEN_FILE") as caught:
        assert Kubeflow(KfpSettings(host=api.host, token_file=token), steps=STEPS).health
    assert "two" not in str(caught.value)


@pytest.mark.parametrize(
    ("what", "kind", "words"),
    [
        (401, ClusterError, "answers 401 .*: it wants a token: name the file that holds one in NORIA_KFP_TOKEN_FILE"),
        (403, ClusterError, r"does not let you show run .* \(403: told to answer 403\): ask for that right in namesp"),
        (404, NotThereError, "has nothing of that name or id"),
        (500, ClusterError, "failed to show run .*kubectl -n kubeflow logs deployment/ml-pipeline"),
        ("reset", UnreachableError, r"cannot be reached \(.*reset by peer\)"),
        ("slow", UnreachableError, "does not answer in time"),
        ("page", ClusterError, "answers, but not as Kubeflow Pipelines 2 does"),
    ],
)
def test_every_fault_says_what_was_asked_and_what_to_do(
    api: KubeflowApi, kubeflow: Kubeflow, what: int | str, kind: type[ClusterError], words: str
) -> None:
    run = api.add_run("x")
    assert kubeflow.health.release == "2.15.0"
    api.faults.append(Fault(path="/runs/", what=what, times=3))
    with pytest.raises(kind, match=words) as caught:
        kubeflow.run(run)
    assert f"show run {run}" in str(caught.value)
    assert str(caught.value).count("\n") == 0


def test_a_connection_that_breaks_once_is_no_fault(api: KubeflowApi, kubeflow: Kubeflow) -> None:
    run = api.add_run("x")
    assert kubeflow.health
    api.faults.append(Fault(path="/runs/", what="reset"))
    assert kubeflow.run(run).id == run


@pytest.mark.parametrize("what", [500, "page", "reset"])
def test_what_is_no_kubeflow_pipelines_is_found_out_at_once(
    api: KubeflowApi, kubeflow: Kubeflow, what: int | str
) -> None:
    api.faults.append(Fault(path="healthz", what=what, times=3))
    with pytest.raises(ClusterError, match="say what it is"):
        kubeflow.runs()
    assert {path for _, path in api.asked} == {"/apis/v2beta1/healthz"}


@pytest.mark.parametrize("host", ["http://127.0.0.1:1", "http://no-such-host.invalid"])
def test_a_host_that_is_not_there_is_told_with_the_way_to_it(host: str) -> None:
    with pytest.raises(
        UnreachableError,
        match=f"{host} cannot be reached .*NORIA_KFP, and whether .*`make connect ENV=dev`.*port-forward",
    ):
        assert Kubeflow(KfpSettings(host=host), steps=STEPS).health


def test_an_https_server_is_believed_by_the_certificates_that_are_named(api: KubeflowApi, tmp_path: Path) -> None:
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    sign_for_localhost(certificate, key)
    host = api.speak_tls(certificate, key)
    assert Kubeflow(KfpSettings(host=host, ca_file=certificate), steps=STEPS).health.release == "2.15.0"
    with pytest.raises(UnreachableError, match=r"certificate verify failed.* the certificates in NORIA_KFP_CA_FILE"):
        assert Kubeflow(KfpSettings(host=host), steps=STEPS).health
    (tmp_path / "other.pem").write_text("no certificate\n")
    for lost, why in (("nowhere.pem", "No such file"), ("other.pem", "no certificate or crl found")):
        with pytest.raises(UsageError, match=f"NORIA_KFP_CA_FILE names .*{lost}, of which .*{why}.*expected a file"):
            assert Kubeflow(KfpSettings(host=host, ca_file=tmp_path / lost), steps=STEPS).health


def test_certificates_are_not_blamed_for_what_they_have_no_part_in(api: KubeflowApi) -> None:
    with pytest.raises(UnreachableError, match=r"Connection refused.* whether the way there is open") as refused:
        assert Kubeflow(KfpSettings(host="https://127.0.0.1:1"), steps=STEPS).health
    with pytest.raises(UnreachableError, match=r"what answers there does not speak https.*http://") as plain:
        assert Kubeflow(KfpSettings(host=api.host.replace("http:", "https:")), steps=STEPS).health
    assert "NORIA_KFP_CA_FILE" not in f"{refused.value}{plain.value}"


def test_without_a_cluster_nothing_is_asked() -> None:
    with pytest.raises(UsageError, match="set NORIA_KFP to the address"):
        Kubeflow(KfpSettings(), steps=STEPS)


def test_a_schedule_starts_one_run_at_a_time_without_catching_up(api: KubeflowApi, kubeflow: Kubeflow) -> None:
    for name, when in (("nightly", parse_when("0 2 * * *", "")), ("often", parse_when("", "6h"))):
        add_schedule(kubeflow, publish(kubeflow), experiment="flights", name=name, when=when, parameters={"days": 90})
    often, nightly = list_schedules(kubeflow, experiment="flights")
    assert (nightly.when, often.when) == (When(cron="0 0 2 * * *"), When(seconds=21_600))
    assert (nightly.running, nightly.parameters) == (True, {"days": 90})
    for kept in api.schedules.values():
        assert (kept["no_catchup"], kept["max_concurrency"], kept["mode"]) == (True, 1, "ENABLE")
        (version,) = api.versions  # the one of that moment, not whatever is the newest later
        assert kept["pipeline_version_reference"]["pipeline_version_id"] == version
    pause_schedule(kubeflow, nightly.id)
    assert [one.running for one in list_schedules(kubeflow)] == [True, False]
    resume_schedule(kubeflow, nightly.id)
    delete_schedule(kubeflow, often.id)
    assert [(one.name, one.running) for one in list_schedules(kubeflow)] == [("nightly", True)]
    assert list_schedules(kubeflow, experiment="wine") == ()


@pytest.mark.parametrize(
    ("cron", "every"),
    [
        ("", ""),
        ("0 2 * * *", "6h"),
        ("0 2 * *", ""),
        ("0 2 * * ; rm", ""),
        ("61 3 * * *", ""),
        ("", "6"),
        ("", "0h"),
        ("", "6 h"),
        ("", "-1d"),
    ],
)
def test_a_time_that_is_none_is_refused(cron: str, every: str) -> None:
    with pytest.raises(UsageError, match=r"--cron|--every"):
        parse_when(cron, every)


def test_a_time_of_the_clock_may_have_seconds() -> None:
    assert parse_when("30 0 2 * * 1-5", "").cron == "30 0 2 * * 1-5"
    assert parse_when("", "90m").seconds == 5400
