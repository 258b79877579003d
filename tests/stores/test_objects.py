"""One contract, two stores: everything here holds for a folder and for a real S3 server."""

from __future__ import annotations

import multiprocessing
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from pathlib import Path

import pytest

from noria.errors import ObjectExistsError, ObjectMissingError, StoreError, UsageError
from noria.stores.objects import ObjectStore, check_key
from noria.stores.opening import open_store


@pytest.fixture(params=["folder", "s3"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "folder":
        return str(tmp_path / "objects")
    address: str = request.getfixturevalue("s3_address")
    return address


@pytest.fixture
def store(address: str) -> ObjectStore:
    return open_store(address)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "made"
    (folder / "below").mkdir(parents=True)
    (folder / "a.bin").write_bytes(bytes(range(256)) * 40)
    (folder / "below" / "b.json").write_bytes(b"{}")
    (folder / "empty").write_bytes(b"")
    return folder


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_what_was_put_is_read_back_and_replaced(store: ObjectStore) -> None:
    store.put("runs/1/metrics.json", b"first")
    store.put("runs/1/metrics.json", b"second")
    assert store.get("runs/1/metrics.json") == b"second"
    assert store.exists("runs/1/metrics.json")


@pytest.mark.parametrize("data", [b"", b"\x00", bytes(range(256)) * 8192])
def test_any_bytes_survive(store: ObjectStore, data: bytes) -> None:
    store.put_new("blob", data)
    assert store.get("blob") == data


def test_a_missing_object_is_named(store: ObjectStore) -> None:
    with pytest.raises(ObjectMissingError, match="nothing/here"):
        store.get("nothing/here")
    assert not store.exists("nothing/here")
    assert store.list("nothing/") == []
    assert store.list("") == []


def test_a_second_put_new_is_refused_and_changes_nothing(store: ObjectStore) -> None:
    store.put_new("once", b"first")
    with pytest.raises(ObjectExistsError, match="once"):
        store.put_new("once", b"first")
    assert store.get("once") == b"first"


def test_a_removed_object_is_gone_and_may_be_removed_again(store: ObjectStore) -> None:
    store.put("a/b", b"x")
    store.delete("a/b")
    store.delete("a/b")
    assert not store.exists("a/b")
    store.put_new("a/b", b"y")


def test_keys_are_listed_in_order_by_prefix_and_from_a_key_on(store: ObjectStore) -> None:
    for key in ("r/t/00000002.json", "r/t/00000001.json", "r/t-2/00000001.json", "r/t/00000010.json", "q", "r.x"):
        store.put(key, b"x")
    assert store.list("r/t/") == ["r/t/00000001.json", "r/t/00000002.json", "r/t/00000010.json"]
    assert store.list("r/t") == ["r/t-2/00000001.json", *store.list("r/t/")]
    assert store.list("r/t/", after="r/t/00000002.json") == ["r/t/00000010.json"]
    assert store.list("r/t/", after="r/t/00000010.json") == []
    assert store.list("") == sorted(store.list(""))
    assert len(store.list("")) == 6


def test_more_keys_than_a_page_holds_are_listed(store: ObjectStore, address: str) -> None:
    count = 1100 if address.startswith("s3") else 300
    for number in range(count):
        store.put(f"many/{number:08}", b"")
    assert len(store.list("many/")) == count


ASTRAY = [
    "",
    "/a",
    "a/",
    "a//b",
    "../a",
    "a/../b",
    "a/.",
    ".hidden",
    "a/.staging/b",
    "a b",
    "ä",
    "a\n",
    "a\\b",
    "x" * 300,
]


def test_a_key_that_could_lead_astray_is_refused(store: ObjectStore, folder: Path) -> None:
    for key in ASTRAY:
        for use in (store.get, store.exists, store.delete, store.uri):
            with pytest.raises(StoreError, match="is not a key"):
                use(key)
        for write in (store.put, store.put_new):
            with pytest.raises(StoreError, match="is not a key"):
                write(key, b"")
        for move in (store.put_folder, store.fetch_folder):
            with pytest.raises(StoreError, match="is not a key"):
                move(key, folder)


def test_a_folder_is_published_and_fetched_whole(store: ObjectStore, folder: Path, tmp_path: Path) -> None:
    assert not store.exists("bundles/abc")
    store.put_folder("bundles/abc", folder)
    assert store.exists("bundles/abc")
    assert store.get("bundles/abc/below/b.json") == b"{}"
    assert store.list("bundles/") == ["bundles/abc/a.bin", "bundles/abc/below/b.json", "bundles/abc/empty"]
    store.fetch_folder("bundles/abc", tmp_path / "got")
    store.fetch_folder("bundles/abc", tmp_path / "got")
    assert files_of(tmp_path / "got") == files_of(folder)


def test_the_same_folder_may_be_published_again_but_no_other(store: ObjectStore, folder: Path) -> None:
    store.put_folder("bundles/abc", folder)
    store.put_folder("bundles/abc", folder)
    (folder / "a.bin").write_bytes(b"other")
    with pytest.raises(ObjectExistsError, match="differs"):
        store.put_folder("bundles/abc", folder)
    assert len(store.get("bundles/abc/a.bin")) == 256 * 40


def test_a_folder_is_not_fetched_over_another(store: ObjectStore, folder: Path, tmp_path: Path) -> None:
    store.put_folder("x", folder)
    (tmp_path / "got").mkdir()
    (tmp_path / "got" / "mine").write_bytes(b"precious")
    with pytest.raises(ObjectExistsError, match="differs"):
        store.fetch_folder("x", tmp_path / "got")
    assert files_of(tmp_path / "got") == {"mine": b"precious"}


def test_a_folder_that_is_not_there_is_not_fetched(store: ObjectStore, tmp_path: Path) -> None:
    store.put("x/file", b"1")
    with pytest.raises(ObjectMissingError, match="y"):
        store.fetch_folder("y", tmp_path / "got")
    assert not (tmp_path / "got").exists()


def test_a_folder_with_links_or_nothing_in_it_is_refused(store: ObjectStore, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "nothing").mkdir()
    with pytest.raises(StoreError, match="no file"):
        store.put_folder("x", tmp_path / "nothing")
    (folder / "link").symlink_to("/etc/hostname")
    with pytest.raises(StoreError, match="regular"):
        store.put_folder("x", folder)
    with pytest.raises(StoreError, match="not a folder"):
        store.put_folder("x", tmp_path / "absent")
    assert store.list("") == []


@cache
def opened(address: str) -> ObjectStore:
    return open_store(address)


def write_once(address: str, key: str, barrier: object, mark: bytes) -> bytes:
    store = opened(address)
    store.exists("warm")
    barrier.wait()  # type: ignore[attr-defined]
    try:
        store.put_new(key, mark)
    except ObjectExistsError:
        return b""
    return mark


def test_of_eight_processes_that_create_an_object_one_wins(address: str, workers: ProcessPoolExecutor) -> None:
    with multiprocessing.get_context("fork").Manager() as manager:
        # SeaweedFS takes a lock for each conditional put, and who finds it taken looks again only after a whole second:
        # a loser sends one request and waits 0, 1, 2 or 3 s for its answer, so few rounds have to do.
        for round_ in range(3 if address.startswith("s3") else 10):
            barrier = manager.Barrier(8)
            tries = [workers.submit(write_once, address, f"entry/{round_}", barrier, b"%d" % n) for n in range(8)]
            winners = [one for one in (each.result() for each in tries) if one]
            assert len(winners) == 1
            assert open_store(address).get(f"entry/{round_}") == winners[0]


@pytest.fixture
def workers(address: str) -> Iterator[ProcessPoolExecutor]:
    with ProcessPoolExecutor(8, mp_context=multiprocessing.get_context("fork")) as pool:
        yield pool


def publish(address: str, folder: Path, barrier: object) -> str:
    barrier.wait()  # type: ignore[attr-defined]
    try:
        open_store(address).put_folder("bundles/abc", folder)
    except ObjectExistsError:
        return "refused"
    return "done"


def test_of_processes_that_publish_different_folders_under_a_key_one_wins_whole(
    address: str, folder: Path, tmp_path: Path, workers: ProcessPoolExecutor
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "a.bin").write_bytes(b"other")
    with multiprocessing.get_context("fork").Manager() as manager:
        barrier = manager.Barrier(8)
        tries = [workers.submit(publish, address, (folder, other)[n % 2], barrier) for n in range(8)]
        results = [each.result() for each in tries]
    open_store(address).fetch_folder("bundles/abc", tmp_path / "got")
    winner = next((folder, other)[n % 2] for n, result in enumerate(results) if result == "done")
    assert files_of(tmp_path / "got") == files_of(winner)
    assert [result == "done" for result in results] == [(folder, other)[n % 2] == winner for n in range(8)]


def test_an_address_of_another_kind_is_refused() -> None:
    for address in ("", "gs://bucket", "http://host/x"):
        with pytest.raises(UsageError, match="s3://bucket/prefix"):
            open_store(address)
    with pytest.raises(UsageError, match="bucket"):
        open_store("s3:///prefix")


def test_a_folder_store_needs_no_s3_library() -> None:
    code = "import sys; from noria.stores.opening import open_store; open_store('x'); assert 'boto3' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_an_ordinary_key_is_allowed() -> None:
    assert check_key("bundles/3f2a/model.onnx") == "bundles/3f2a/model.onnx"
