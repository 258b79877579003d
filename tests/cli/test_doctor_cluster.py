"""Doctor looks at the cluster that the settings name: releases, rights and stores, each with what to do about it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from kubeflow_api import Fault, KubeflowApi
from noria_command import Noria

from cluster.permissions import VERBS

ATTRIBUTES = {"group", "resource", "subresource", "verb", "namespace"}


@dataclass(frozen=True, kw_only=True)
class Review:
    """What the server was asked: of whom ("" for whoever asks), and in which of its words."""

    kind: str
    path: str
    user: str
    groups: tuple[str, ...]
    asked: dict[str, str]

    @property
    def verb(self) -> tuple[str, str, str]:
        resource = "/".join(filter(None, (self.asked["resource"], self.asked.get("subresource"))))
        return self.asked.get("group", ""), resource, self.asked["verb"]


@contextmanager
def kubernetes(
    *, kserve: str = "v0.20.1", denied: frozenset[str] = frozenset(), settings: dict[str, str] | None = None
) -> Iterator[tuple[str, list[Review]]]:
    """An API server that knows what it has, and what may be done there; each review is kept.

    `denied` holds verb and resource, with `USER: ` before them where only that user may not.
    """
    reviews: list[Review] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/apis/serving.kserve.io/v1beta1" and kserve:
                self._reply(200, {"resources": [{"name": "inferenceservices"}]})
            elif self.path == "/apis/apps/v1/namespaces/kserve/deployments/kserve-controller-manager" and kserve:
                containers = [{"name": "proxy", "image": "x:1"}, {"name": "manager", "image": f"kserve/c:{kserve}"}]
                self._reply(200, {"spec": {"template": {"spec": {"containers": containers}}}})
            elif self.path == "/api/v1/namespaces/kubeflow/configmaps/noria-settings" and settings is not None:
                self._reply(200, {"data": settings})
            else:
                self._reply(404, {"message": "the server could not find the requested resource"})

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            spec = body["spec"]
            review = Review(
                kind=body["kind"], path=self.path.rpartition("authorization.k8s.io/v1/")[2],
                user=spec.get("user", ""), groups=tuple(spec.get("groups", ())), asked=spec["resourceAttributes"],
            )  # fmt: skip
            reviews.append(review)
            assert set(review.asked) <= ATTRIBUTES
            if review.user and "create localsubjectaccessreviews" in denied:
                self._reply(403, {"message": "cannot create resource localsubjectaccessreviews"})
                return
            words = f"{review.asked['verb']} {review.asked['resource']}"
            self._reply(201, {"status": {"allowed": not {words, f"{review.user}: {words}"} & denied}})

        def _reply(self, status: int, body: Any) -> None:
            data = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", reviews
        finally:
            server.shutdown()
            thread.join()


def kubeconfig(folder: Path, url: str) -> str:
    path = folder / "kubeconfig.json"
    config = {
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": url}}],
        "users": [{"name": "u", "user": {"token": "kube-token-5519"}}],
    }
    path.write_text(json.dumps(config))
    return str(path)


@pytest.fixture
def noria(tmp_path: Path) -> Noria:
    return Noria(home=tmp_path / "home", site=tmp_path).with_settings(HOME=str(tmp_path))  # with no ~/.kube


def examine(noria: Noria) -> tuple[int, dict[str, tuple[bool | None, str]]]:
    done = noria("doctor", "--json")
    assert "Traceback" not in done.err, done.err
    assert "kube-token-5519" not in done.out + done.err
    return done.code, {one["what"]: (one["well"], one["found"]) for one in done.told}


def test_where_no_cluster_is_configured_one_line_says_so(noria: Noria) -> None:
    code, found = examine(noria)
    assert (code, found["cluster"]) == (
        0, (True, "none is configured (NORIA_KFP, KUBECONFIG): runs are made on this machine")
    )  # fmt: skip
    assert "KServe" not in found


def test_a_cluster_that_has_everything_is_well(noria: Noria, tmp_path: Path) -> None:
    there = {"NORIA_OBJECTS": "s3://noria/dev", "NORIA_REGISTRY": "mysql://noria:kube-token-5519@127.0.0.1:1/feast"}
    with KubeflowApi() as api, kubernetes(settings=there) as (url, reviews):
        settings = {"NORIA_KFP": api.host, "KUBECONFIG": kubeconfig(tmp_path, url), "NORIA_SERVING": "kserve"}
        code, found = examine(noria.with_settings(**settings))
    assert found["Kubeflow Pipelines"] == (True, f"2.15.0 at {api.host}, one user; it lets you see its runs")
    assert found["KServe"] == (True, "0.20.1")
    who = "service account pipeline-runner of namespace kubeflow"
    assert found["rights to serve"] == (
        True, f"in namespace noria-serving {who} may do all {len(VERBS)} that the step deploy needs"
    )  # fmt: skip
    assert found["object store there"][0] is found["registry of features"][0] is None, "not asked, and no fault"
    assert found["object store there"][1].startswith("s3://noria/dev, by its ConfigMap noria-settings")
    assert found["registry of features"][1].startswith("from this machine mysql at 127.0.0.1:1 cannot be reached")
    assert code == 0
    own, others = [one for one in reviews if not one.user], [one for one in reviews if one.user]
    assert [one.verb for one in own] == [("authorization.k8s.io", "localsubjectaccessreviews", "create")]
    assert sorted(one.verb for one in others) == sorted(VERBS)
    assert {one.asked["namespace"] for one in reviews} == {"noria-serving"}
    groups = ("system:serviceaccounts", "system:serviceaccounts:kubeflow", "system:authenticated")
    assert {(one.kind, one.path, one.user, one.groups) for one in others} == {
        (
            "LocalSubjectAccessReview", "namespaces/noria-serving/localsubjectaccessreviews",
            "system:serviceaccount:kubeflow:pipeline-runner", groups,
        )
    }  # fmt: skip


def test_the_rights_are_those_of_whom_the_step_works_as_and_not_of_who_asks(noria: Noria, tmp_path: Path) -> None:
    denied = frozenset({"system:serviceaccount:kubeflow:pipeline-runner: patch inferenceservices"})
    with KubeflowApi() as api, kubernetes(denied=denied) as (url, reviews):
        settings = {"NORIA_KFP": api.host, "KUBECONFIG": kubeconfig(tmp_path, url), "NORIA_SERVING": "kserve"}
        code, found = examine(noria.with_settings(**settings))
        well, words = found["rights to serve"]
        assert (code, well) == (1, False)
        assert (
            "service account pipeline-runner of namespace kubeflow may not patch inferenceservices.serving.kserve.io: "
            "bind the Role that the chart makes to it, by the chart's value pipelines.serviceAccount"
        ) in words
        settings |= {"NORIA_KFP_SERVICE_ACCOUNT": "noria-steps", "NORIA_KFP_NAMESPACE": "team-a"}
        assert examine(noria.with_settings(**settings))[1]["rights to serve"][0] is True
        assert reviews[-1].user == "system:serviceaccount:team-a:noria-steps"
        api.multi_user = True
        del settings["NORIA_KFP_SERVICE_ACCOUNT"]
        assert examine(noria.with_settings(**settings))[1]["rights to serve"][0] is True
        assert reviews[-1].user == "system:serviceaccount:team-a:default-editor"
        here = noria.with_settings(KUBECONFIG=settings["KUBECONFIG"], NORIA_SERVING="kserve")
        assert "you may do all" in examine(here)[1]["rights to serve"][1]
        assert (reviews[-1].kind, reviews[-1].user) == ("SelfSubjectAccessReview", "")


def test_who_may_not_ask_for_another_is_told_that_it_is_not_known(noria: Noria, tmp_path: Path) -> None:
    with KubeflowApi() as api, kubernetes(denied=frozenset({"create localsubjectaccessreviews"})) as (url, reviews):
        settings = {"NORIA_KFP": api.host, "KUBECONFIG": kubeconfig(tmp_path, url)}
        code, found = examine(noria.with_settings(**settings, NORIA_SERVING="kserve"))
        well, words = found["rights to serve"]
        assert (code, well, len(reviews)) == (1, None, 1)
        assert "may do in namespace noria-serving is not known: you may not create localsubjectaccessreviews" in words
        assert "--as system:serviceaccount:kubeflow:pipeline-runner`" in words
        table = noria.with_settings(**settings, NORIA_SERVING="kserve")("doctor").out
        assert [line for line in table.splitlines() if "?" in line.split()[:2] and "rights to serve" in line], table
        assert examine(noria.with_settings(**settings))[1]["rights to serve"][0] is True, "nothing here needs them"


def test_what_the_steps_on_the_cluster_are_told_counts_there(noria: Noria, tmp_path: Path) -> None:
    there = {"NORIA_SERVING": "kserve", "NORIA_SERVING_NAMESPACE": "models"}
    denied = frozenset({"list events"})
    with KubeflowApi() as api, kubernetes(denied=denied, settings=there) as (url, reviews):
        code, found = examine(noria.with_settings(NORIA_KFP=api.host, KUBECONFIG=kubeconfig(tmp_path, url)))
    assert (code, found["rights to serve"][0]) == (1, False)
    assert "in namespace models " in found["rights to serve"][1]
    assert {one.asked["namespace"] for one in reviews} == {"models"}


def test_whoever_may_ask_what_kubeflow_is_and_not_see_its_runs_is_told(noria: Noria) -> None:
    with KubeflowApi() as api:
        api.faults.append(Fault(method="GET", path="/v2beta1/runs", what=403))
        code, found = examine(noria.with_settings(NORIA_KFP=api.host))
    assert (code, found["Kubeflow Pipelines"][0]) == (1, False)
    assert "does not let you list the runs" in found["Kubeflow Pipelines"][1]


def test_what_is_old_or_not_allowed_is_told_with_what_to_do(noria: Noria, tmp_path: Path) -> None:
    denied = frozenset({"patch inferenceservices", "get pods"})
    with KubeflowApi(release="2.4.1") as api, kubernetes(kserve="v0.15.0", denied=denied) as (url, _):
        settings = {"NORIA_KFP": api.host, "KUBECONFIG": kubeconfig(tmp_path, url), "NORIA_SERVING": "kserve"}
        code, found = examine(noria.with_settings(**settings))
    assert found["Kubeflow Pipelines"][0] is False
    assert "2.4.1" in found["Kubeflow Pipelines"][1]
    assert "expected 2.15 or later" in found["Kubeflow Pipelines"][1]
    assert found["KServe"] == (False, "0.15.0: expected 0.20 or later; bring it up to date")
    well, words = found["rights to serve"]
    assert well is False
    assert "may not get pods/log, patch inferenceservices.serving.kserve.io: bind the Role" in words
    assert code == 1


def marks(noria: Noria) -> dict[str, str]:
    """What stands before each line, for people."""
    lines = [line.split("  ") for line in noria("doctor").out.splitlines()]
    rows = [[part.strip() for part in line if part.strip()] for line in lines]
    return {row[1]: row[0] for row in rows if len(row) > 2}


def test_a_cluster_that_does_not_answer_has_no_tick_where_nothing_needs_it(noria: Noria, tmp_path: Path) -> None:
    silent = noria.with_settings(KUBECONFIG=kubeconfig(tmp_path, "http://127.0.0.1:1"))
    code, found = examine(silent)
    assert (code, found["KServe"][0], found["rights to serve"][0]) == (0, None, None)
    assert "Connection refused" in found["KServe"][1]
    asked = "Kubernetes at http://127.0.0.1:1 does not answer. Needed only with NORIA_SERVING=kserve"
    assert found["rights to serve"][1] == asked
    shown = marks(silent)
    assert [shown[what] for what in ("KServe", "rights to serve", "Kubeflow Pipelines", "keys")] == ["?", "?", "–", "✓"]


@pytest.mark.parametrize("way", ["ledger", "kserve"])
def test_a_kubeconfig_that_is_not_there_is_named(noria: Noria, tmp_path: Path, way: str) -> None:
    lost = str(tmp_path / "nowhere.yaml")
    code, found = examine(noria.with_settings(KUBECONFIG=lost, NORIA_SERVING=way))
    assert (code, found["KServe"][0]) == ((1, False) if way == "kserve" else (0, None))
    assert found["rights to serve"][0] is found["KServe"][0]
    for what in ("KServe", "rights to serve"):
        assert f"KUBECONFIG is {lost}, which is not there: expected the file of a cluster" in found[what][1]
        assert "set NORIA_SERVING=ledger" not in found[what][1]
    (tmp_path / "nowhere.yaml").write_text("apiVersion: v1\nkind: Config\n")
    words = examine(noria.with_settings(KUBECONFIG=lost, NORIA_SERVING=way))[1]["KServe"][1]
    assert "what KUBECONFIG names leads to no cluster: expected a context in it" in words


def test_a_cluster_that_nothing_needs_is_no_fault(noria: Noria, tmp_path: Path) -> None:
    with kubernetes(kserve="") as (url, _):
        code, found = examine(noria.with_settings(KUBECONFIG=kubeconfig(tmp_path, url)))
    assert found["Kubeflow Pipelines"] == (True, "NORIA_KFP is not set: `noria submit` has nowhere to go")
    assert "object store there" not in found, "the steps run here"
    assert found["KServe"][0] is True
    assert "the cluster has none: install it" in found["KServe"][1]
    assert code == 0
    assert marks(noria)["cluster"] == "–"


def test_a_cluster_that_does_not_answer_is_a_fault_where_it_is_needed(noria: Noria, tmp_path: Path) -> None:
    needed = noria.with_settings(
        NORIA_SERVING="kserve", NORIA_KFP="http://127.0.0.1:1", KUBECONFIG=kubeconfig(tmp_path, "http://127.0.0.1:1")
    )
    code, found = examine(needed)
    assert code == 1
    for what in ("Kubeflow Pipelines", "KServe", "rights to serve"):
        assert found[what][0] is False, what
    assert "does not answer" in found["KServe"][1]
    assert "cannot be reached" in found["Kubeflow Pipelines"][1]
    nowhere = examine(noria.with_settings(NORIA_SERVING="kserve"))[1]["KServe"]
    assert (nowhere[0], "no KUBECONFIG" in nowhere[1]) == (False, True)
