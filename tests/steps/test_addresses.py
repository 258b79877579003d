"""Addresses are handed on as kfp.local takes them, and as KFP's launcher does."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from noria.errors import StoreError
from noria.steps.addresses import address_of, hand_on

DIGEST = "0123456789abcdef" * 4
ADDRESS = f"s3://noria/objects/datasets/{DIGEST}"


@dataclass
class Artifact:
    uri: str
    path: str
    metadata: dict[str, Any] = field(default_factory=lambda: {"rows": 3})


@pytest.fixture(params=["minio://mlpipeline/v2/x/dataset", "s3://kfp/v2/x/dataset", "gs://kfp/v2/x/dataset"])
def remote(request: pytest.FixtureRequest, tmp_path: Path) -> Artifact:
    return Artifact(uri=request.param, path=str(tmp_path / "dataset"))


def test_on_a_laptop_the_artifact_is_at_the_address(tmp_path: Path) -> None:
    artifact = Artifact(uri=str(tmp_path / "dataset"), path=str(tmp_path / "dataset"))
    hand_on(artifact, ADDRESS)
    assert (artifact.uri, artifact.metadata) == (ADDRESS, {"rows": 3, "address": ADDRESS})
    assert address_of(artifact) == ADDRESS
    assert not Path(artifact.path).exists()


def test_on_a_cluster_the_artifact_stays_where_kfp_put_it_and_holds_the_address(remote: Artifact) -> None:
    before = remote.uri
    hand_on(remote, ADDRESS)
    assert (remote.uri, Path(remote.path).read_text()) == (before, f"{ADDRESS}\n")
    assert address_of(remote) == ADDRESS


@pytest.mark.parametrize(
    ("held", "told"),
    [(None, "cannot be read"), (b"", "holds ''"), (b"s3://noria/datasets/x\n", "ends in a sha256"),
     (b"\xff\xfe", "cannot be read"), (b"{" * 5000, "expected one line")],
)  # fmt: skip
def test_an_artifact_that_leads_nowhere_is_refused(remote: Artifact, held: bytes | None, told: str) -> None:
    if held is not None:
        Path(remote.path).write_bytes(held)
    with pytest.raises(StoreError, match=told):
        address_of(remote)
