"""The same window on this machine and on the cluster of KUBECONFIG: equal digests from the events to the release."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from cluster_place import Place, run
from cluster_telling import describe_cluster
from kube import forwarded, read
from submitting import NORIA, WINDOW, end_former_runs, submit
from test_on_a_cluster import keep, secret

pytestmark = [
    pytest.mark.timeout(7200),
    pytest.mark.xdist_group("cluster"),
    pytest.mark.skipif(not os.environ.get("KUBECONFIG"), reason="no KUBECONFIG: it names the cluster to compare with"),
]
HERE_SECONDS = 1800
FACTS = {"plan", "code", "events", "feature tables", "dataset", "bundle", "evaluation", "decision", "entry: promoted"}


@pytest.fixture
def brought(home: Path, place: Place) -> Place:
    """The project on the cluster, with an empty object store; what is brought stays where the test fails."""
    place.bring(home)
    return place


def test_the_same_window_here_and_there_comes_to_equal_digests(
    home: Path, brought: Place, kfp: str, tmp_path: Path
) -> None:
    here = tmp_path / "laptop"
    given = [word for name, value in WINDOW.items() for word in ("--param", f"{name}={value}")]
    run(NORIA, "run", "--task", "fashion", *given, "--json", home=here, seconds=HERE_SECONDS)
    end_former_runs(home, kfp)
    told = submit(home, kfp, brought.spaces)
    assert told["outcome"] == "promoted", f"{told}\n{describe_cluster()}"
    report = parity(here, brought, tmp_path)
    assert (report["equal"], report["lacks"]) == (True, [])
    assert {each["what"] for each in report["compared"]} >= FACTS
    brought.take_away(home)


def parity(here: Path, place: Place, folder: Path) -> dict[str, Any]:
    """What `noria parity` tells of the home here and the cluster's object store; an assertion where they differ."""
    where = f"--namespace={place.spaces.pipelines}"
    objects = read("configmap", "noria-settings", where)["data"]["NORIA_OBJECTS"]
    keys = keep(folder / "store", secret("noria-s3", place))
    trusted = keep(folder / "trusted", read("configmap", "noria-trusted-keys", where)["data"])
    with forwarded(place.spaces.own, "service/noria-seaweedfs", 8333) as endpoint:
        told = run(
            NORIA, "parity", here, objects, "--task", "fashion", "--json", home=here, seconds=300,
            NORIA_OBJECTS_ENDPOINT=endpoint, NORIA_OBJECTS_KEYS=str(keys), NORIA_TRUSTED_KEYS=str(trusted),
        )  # fmt: skip
    report: dict[str, Any] = json.loads(told)
    return report
