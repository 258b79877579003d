"""The cluster that KUBECONFIG names, or a reason to skip; and what is told of it when a test fails."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from cluster_place import MARK, Place, Spaces
from cluster_telling import describe_cluster
from kube import forwarded, kubectl, read, wait_until

from helm.kubectl import Kubectl
from helm.reach import reach
from noria.errors import ClusterError

ON_A_CLUSTER = Path(__file__).with_name("test_on_a_cluster.py")
FAILED = pytest.StashKey[str]()
ANSWERS, BEGUN = pytest.StashKey[bool](), pytest.StashKey[bool]()  # a cluster does; things are put there
TERMINATING_SECONDS = 300


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if not os.environ.get("KUBECONFIG"):
        reason = "no KUBECONFIG: set it to a cluster with Kubeflow Pipelines and KServe (`make cluster` makes one)"
        for item in items:
            if item.path == ON_A_CLUSTER:
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Add to a failure what Kubernetes tells, and remember it: what follows builds on it."""
    outcome = yield
    report = outcome.get_result()
    if report.failed and item.path == ON_A_CLUSTER:
        item.session.stash.setdefault(FAILED, item.name)
        if item.session.stash.get(ANSWERS, False):
            report.sections.append(("the cluster at that moment", describe_cluster()))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    name = item.session.stash.get(FAILED, "")
    if name and item.path == ON_A_CLUSTER:
        if not item.session.stash.get(BEGUN, False):
            pytest.skip(f"there is no cluster to test on, and {name} says why; nothing was put anywhere")
        pytest.skip(
            f"{name} failed: its cluster is left as it is; these tests begin anew with what they left there, and "
            "`make undeploy` takes all of it away"
        )


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Noria's home on this machine, with the key that the cluster comes to sign with."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="session")
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, home: Path) -> Place:
    """Where the tests put things: a cluster that answers, and has no Noria of somebody else's."""
    if silence := _silence():
        pytest.fail(silence, pytrace=False)
    request.session.stash[ANSWERS] = True
    for kind in ("inferenceservices.serving.kserve.io", "workflows.argoproj.io"):
        kubectl("get", "crd", kind, "--output=name")
    found = Place.named(tmp_path_factory.mktemp("manifests"))
    wait_until(
        lambda: not _terminating(found.spaces), "namespaces that are being deleted are gone", TERMINATING_SECONDS
    )
    others = [name for name, ours in found.there().items() if not ours]
    assert not others, (
        f"there is namespace {', '.join(others)} already, and these tests take theirs away in the end: `make undeploy` "
        f"if nobody needs it, or `kubectl label namespace {' '.join(others)} {MARK}=yes` if they may have it"
    )
    request.session.stash[BEGUN] = True
    if found.there():
        found.take_away(home)  # what a run that failed has left, with a ledger and an object store of its own
    return found


def _silence() -> str:
    """Why no cluster answers, "" where one does."""
    try:
        reach(Kubectl())
    except ClusterError as error:
        return str(error)
    return ""


def _terminating(spaces: Spaces) -> list[str]:
    found = [each for each in read("namespaces")["items"] if each["metadata"]["name"] in spaces.ours]
    return [each["metadata"]["name"] for each in found if each["status"].get("phase") == "Terminating"]


@pytest.fixture(scope="session")
def kfp() -> Iterator[str]:
    """Where Kubeflow Pipelines is: NORIA_KFP, or a way to its Service, whichever namespace that is in."""
    if given := os.environ.get("NORIA_KFP"):
        yield given
        return
    found = read("services", "--all-namespaces", "--field-selector=metadata.name=ml-pipeline")["items"]
    assert found, "no Service ml-pipeline in any namespace: install Kubeflow Pipelines 2.15 or later, or set NORIA_KFP"
    with forwarded(found[0]["metadata"]["namespace"], "service/ml-pipeline", 8888) as address:
        yield address
