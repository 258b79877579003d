"""What was published and is gone since is made again: no run goes on with an address that leads nowhere."""

from __future__ import annotations

import shutil

import boto3
import pytest
from noria_command import Noria

pytestmark = pytest.mark.xdist_group("s3 runs")  # one server for all of them


def test_a_run_makes_again_what_was_lost_from_the_store_and_nothing_else(wine: Noria, s3_address: str) -> None:
    noria = wine.with_settings(NORIA_OBJECTS=s3_address)
    first = noria.run()
    assert first.code == 0, first.err
    lose(s3_address, "bundles/")
    lose(s3_address, "datasets/")
    shutil.rmtree(noria.home / "cache")
    again = noria.run()
    assert again.code == 0, again.err
    assert again.told["outcome"] == "unchanged"
    assert (again.told["bundle"], again.told["dataset"]) == (first.told["bundle"], first.told["dataset"])
    assert again.told["prediction"]["bundle"] == first.told["bundle"]
    steps = noria("status", "--task", "wine", "--json").told["runs"][0]["steps"]
    assert {name for name, seconds in steps.items() if seconds} == {"settle", "ingest", "train", "deploy"}
    assert [entry["kind"] for entry in noria.ledger()] == ["evaluated", "promoted"]


def lose(address: str, part: str) -> None:
    """Remove all objects below the part, as a rule of the bucket would that lets old ones expire."""
    bucket, _, prefix = address.removeprefix("s3://").partition("/")
    client = boto3.session.Session().client("s3")
    found = client.list_objects_v2(Bucket=bucket, Prefix=f"{prefix}/{part}")["Contents"]
    for item in found:
        client.delete_object(Bucket=bucket, Key=item["Key"])
