"""A store has one name, which an empty store in its place does not have."""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from noria.errors import BucketMissingError
from noria.stores.identity import KEY, store_id
from noria.stores.objects import ObjectStore
from noria.stores.opening import open_store


@pytest.fixture(params=["folder", "s3"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "objects") if request.param == "folder" else request.getfixturevalue("s3_address")


@pytest.fixture
def store(address: str) -> ObjectStore:
    return open_store(address)


def test_all_who_ask_at_once_hear_the_same_name(address: str, store: ObjectStore) -> None:
    with ThreadPoolExecutor(8) as pool:
        names = set(pool.map(lambda _: store_id(open_store(address)), range(16)))
    assert names == {store_id(store)}
    assert len(names.pop()) == 32


def test_an_emptied_store_has_another_name(store: ObjectStore) -> None:
    before = store_id(store)
    store.delete(KEY)
    assert store_id(store) != before


def test_two_stores_have_two_names(store: ObjectStore, tmp_path: Path) -> None:
    assert store_id(store) != store_id(open_store(str(tmp_path / "other")))


def test_a_bucket_that_is_not_there_is_no_empty_store(s3_environment: None) -> None:
    store = open_store(f"s3://noria-{uuid.uuid4().hex[:8]}/objects")
    for ask in (lambda: store.get(KEY), lambda: store.list("")):
        with pytest.raises(BucketMissingError, match="expected the bucket to exist"):
            ask()
