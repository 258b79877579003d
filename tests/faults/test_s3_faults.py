"""A real S3 server behind a bad line: clear errors, nothing lost, nothing half there."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable
from math import inf
from pathlib import Path

import pytest
from faults.proxy import FaultProxy

from noria.errors import ObjectExistsError, ObjectMissingError, StoreError
from noria.stores.s3 import S3Store


def open_at(address: str, *, attempts: int = 2, timeout_seconds: float = 10.0) -> S3Store:
    bucket, _, prefix = address.removeprefix("s3://").partition("/")
    return S3Store(bucket=bucket, prefix=prefix, attempts=attempts, timeout_seconds=timeout_seconds)


@pytest.fixture
def store(fault_proxy: FaultProxy, s3_address: str) -> S3Store:
    store = open_at(s3_address)
    store.put_new("there", b"0123456789" * 1000)
    fault_proxy.requests.clear()
    return store


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "made"
    folder.mkdir()
    for name in ("a", "b", "c"):
        (folder / name).write_bytes(name.encode() * 5000)
    return folder


CALLS: dict[str, Callable[[S3Store, Path], object]] = {
    "put": lambda store, _: store.put("new", b"x"),
    "put_new": lambda store, _: store.put_new("new", b"x"),
    "get": lambda store, _: store.get("there"),
    "list": lambda store, _: store.list(""),
    "exists": lambda store, _: store.exists("there"),
    "delete": lambda store, _: store.delete("there"),
    "put_folder": lambda store, folder: store.put_folder("folder", folder),
}


@pytest.mark.parametrize("call", CALLS)
def test_a_fault_that_passes_is_not_noticed(fault_proxy: FaultProxy, store: S3Store, folder: Path, call: str) -> None:
    for kind in ("503", "reset"):
        fault_proxy.inject(kind)  # type: ignore[arg-type]
    patient = S3Store(bucket=store.bucket, prefix=store.uri("x").split("/")[3], attempts=3)
    CALLS[call](patient, folder)
    assert len(fault_proxy.requests) >= 3


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("kind", ["503", "reset"])
def test_a_fault_that_stays_names_place_cause_and_next_step(
    fault_proxy: FaultProxy, store: S3Store, folder: Path, call: str, kind: str
) -> None:
    fault_proxy.inject(kind, times=inf)  # type: ignore[arg-type]
    with pytest.raises(
        StoreError, match=rf"s3://{store.bucket}/.* at {fault_proxy.endpoint} cannot be .*run again"
    ) as caught:
        CALLS[call](store, folder)
    assert caught.value.__cause__ is not None
    assert not isinstance(caught.value, ObjectMissingError | ObjectExistsError)
    fault_proxy.heal()
    assert store.get("there") == b"0123456789" * 1000


@pytest.mark.parametrize("kind", ["truncated", "corrupted"])
def test_a_spoiled_body_is_asked_for_again_or_refused(fault_proxy: FaultProxy, store: S3Store, kind: str) -> None:
    fault_proxy.inject(kind, method="GET")  # type: ignore[arg-type]
    assert store.get("there") == b"0123456789" * 1000
    fault_proxy.inject(kind, times=inf, method="GET")  # type: ignore[arg-type]
    with pytest.raises(StoreError, match="there"):
        store.get("there")


@pytest.mark.parametrize("kind", ["truncated", "corrupted", "503", "reset"])
def test_a_folder_that_is_fetched_over_a_bad_line_is_whole_or_not_there(
    fault_proxy: FaultProxy, store: S3Store, folder: Path, tmp_path: Path, kind: str
) -> None:
    store.put_folder("folder", folder)
    fault_proxy.inject(kind, times=inf, method="GET", part="/b")  # type: ignore[arg-type]
    with pytest.raises(StoreError):
        store.fetch_folder("folder", tmp_path / "got")
    assert sorted(path.name for path in tmp_path.iterdir() if path.name != "made") == []
    fault_proxy.heal()
    store.fetch_folder("folder", tmp_path / "got")
    assert {path.name: path.read_bytes() for path in (tmp_path / "got").iterdir()} == {
        path.name: path.read_bytes() for path in folder.iterdir()
    }


def test_a_server_that_never_answers_is_given_up(fault_proxy: FaultProxy, store: S3Store, s3_address: str) -> None:
    fault_proxy.inject("stalled", times=inf)
    hasty = open_at(s3_address, attempts=1, timeout_seconds=0.3)
    with pytest.raises(StoreError, match=r"(?i)timeout.*run again"):
        hasty.get("there")


def test_a_server_that_is_not_there_is_named(s3_address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(StoreError, match=r"127\.0\.0\.1:9.*AWS_ENDPOINT_URL"):
        open_at(s3_address, attempts=1).get("there")


def test_a_write_whose_answer_was_lost_still_has_won(fault_proxy: FaultProxy, store: S3Store) -> None:
    fault_proxy.inject("lost answer", method="PUT", part="/mine")
    store.put_new("mine", b"x")
    assert [method for method, path in fault_proxy.requests if "/mine" in path] == ["PUT", "PUT", "HEAD"]
    with pytest.raises(ObjectExistsError):
        store.put_new("mine", b"x")


def test_a_server_that_ignores_the_condition_is_refused(fault_proxy: FaultProxy, s3_address: str) -> None:
    fault_proxy.inject("unconditional", times=inf, method="PUT")
    with pytest.raises(StoreError, match=r"ignores If-None-Match.*two writers"):
        open_at(s3_address).put_new("mine", b"x")
    assert not open_at(s3_address).exists("mine")


def test_a_missing_bucket_and_missing_credentials_are_explained(
    s3_address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(StoreError, match="create it, or correct NORIA_OBJECTS"):
        open_at("s3://no-such-bucket/x").list("")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(StoreError, match="AWS_ACCESS_KEY_ID"):
        open_at(s3_address).get("there")


def test_an_object_that_was_altered_in_the_store_is_refused(store: S3Store) -> None:
    key = store.uri("there").removeprefix(f"s3://{store.bucket}/")
    metadata = store._client.head_object(Bucket=store.bucket, Key=key)["Metadata"]
    store._client.put_object(Bucket=store.bucket, Key=key, Body=b"other", Metadata=metadata)
    with pytest.raises(StoreError, match="was altered"):
        store.get("there")


def publish(address: str, folder: Path) -> None:
    open_at(address).put_folder("bundles/one", folder)


def test_a_process_killed_at_any_request_leaves_no_half_folder(
    fault_proxy: FaultProxy, store: S3Store, s3_address: str, folder: Path, tmp_path: Path
) -> None:
    number, ended_well = 0, False
    while not ended_well:
        number += 1
        address = f"{s3_address}/{number}"
        fault_proxy.requests.clear()
        child = multiprocessing.get_context("fork").Process(target=publish, args=(address, folder))
        fault_proxy.on_request = lambda count, child=child, number=number: (
            os.kill(child.pid, signal.SIGKILL) if count == number else None
        )
        child.start()
        child.join(30)
        fault_proxy.on_request = lambda _: None
        ended_well = child.exitcode == 0
        survivor = open_at(address)
        whole = survivor.exists("bundles/one")
        assert survivor.list("") == (["bundles/one/a", "bundles/one/b", "bundles/one/c"] if whole else [])
        survivor.put_folder("bundles/one", folder)
        survivor.fetch_folder("bundles/one", tmp_path / f"got{number}")
        assert len(survivor.list("")) == 3
    assert number >= 8
