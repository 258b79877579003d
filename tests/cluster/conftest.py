"""The cluster that KUBECONFIG names, or a reason to skip; and what is told of it when a test fails."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from kube import describe_cluster, forwarded, kubectl

HERE = Path(__file__).parent
FAILED = pytest.StashKey[str]()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if not os.environ.get("KUBECONFIG"):
        reason = "no KUBECONFIG: set it to a cluster with Kubeflow Pipelines and KServe (`make cluster` makes one)"
        for item in items:
            if HERE in item.path.parents:
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Add to a failure what Kubernetes tells, and remember it: what follows builds on it."""
    outcome = yield
    report = outcome.get_result()
    if report.failed and HERE in item.path.parents:
        item.session.stash.setdefault(FAILED, item.name)
        report.sections.append(("the cluster at that moment", describe_cluster()))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    name = item.session.stash.get(FAILED, "")
    if name and HERE in item.path.parents:
        pytest.skip(f"{name} failed: its cluster is left as it is; `make undeploy` takes all of it away")


@pytest.fixture(scope="session")
def kfp() -> Iterator[str]:
    """Where Kubeflow Pipelines is: NORIA_KFP, or a way to its Service."""
    if given := os.environ.get("NORIA_KFP"):
        yield given
    else:
        kubectl("get", "service", "ml-pipeline", "--namespace=kubeflow")
        with forwarded("kubeflow", "service/ml-pipeline", 8888) as address:
            yield address
