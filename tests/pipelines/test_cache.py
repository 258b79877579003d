"""The cache believes a result only while the object store holds what it names."""

from __future__ import annotations

from pathlib import Path

import pytest
from kfp import dsl

from noria.stores.opening import key_at, open_store
from pipelines.cache import CheckedCache

DIGEST = "3f" * 32


@pytest.fixture(params=["folder", "s3"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    found: str = str(tmp_path / "objects") if request.param == "folder" else request.getfixturevalue("s3_address")
    return found


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle" / "model.onnx").write_bytes(b"weights")
    return tmp_path / "bundle"


def test_a_result_is_believed_while_its_object_is_there(address: str, bundle: Path, tmp_path: Path) -> None:
    store = open_store(address)
    cache = CheckedCache(tmp_path / "cache", store)
    model = dsl.Model(name="bundle", uri=store.uri(f"bundles/{DIGEST}"), metadata={"digest": DIGEST})
    cache.put("key", {"bundle": model, "Output": "promote"})
    assert cache.get("other") is None
    assert cache.get("key") is None
    store.put_folder(f"bundles/{DIGEST}", bundle)
    found = cache.get("key")
    assert found is not None
    assert (found["bundle"].uri, found["bundle"].metadata, found["Output"]) == (model.uri, model.metadata, "promote")


def test_one_lost_object_of_several_is_enough(address: str, bundle: Path, tmp_path: Path) -> None:
    store = open_store(address)
    cache = CheckedCache(tmp_path / "cache", store)
    store.put_folder("bundles/kept", bundle)
    kept, lost = (dsl.Model(name=name, uri=store.uri(f"bundles/{name}")) for name in ("kept", "lost"))
    cache.put("one", {"models": [kept]})
    cache.put("both", {"models": [kept, lost]})
    assert cache.get("one") is not None
    assert cache.get("both") is None


def test_what_the_pipeline_keeps_by_itself_is_left_to_kfp(address: str, tmp_path: Path) -> None:
    cache = CheckedCache(tmp_path / "cache", open_store(address))
    file = tmp_path / "evidence"
    cache.put("key", {"evidence": dsl.Artifact(name="evidence", uri=str(file)), "unset": dsl.Artifact(name="unset")})
    assert cache.get("key") is None
    file.write_bytes(b"{}")
    assert cache.get("key") is not None


def test_an_address_in_another_store_is_not_believed(address: str, tmp_path: Path) -> None:
    cache = CheckedCache(tmp_path / "cache", open_store(address))
    cache.put("key", {"bundle": dsl.Model(name="bundle", uri="s3://elsewhere/bundles/x")})
    assert cache.get("key") is None


def test_an_address_leads_back_to_its_key(address: str) -> None:
    store = open_store(address)
    assert key_at(store, store.uri("bundles/x")) == "bundles/x"
    assert key_at(store, f"{address}-2/bundles/x") is None
