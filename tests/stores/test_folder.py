"""What is particular to a folder store: nobody sees its staging, and two folders are told apart."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from noria.errors import ObjectMissingError, StoreError
from noria.stores.folder import FolderStore


def test_staged_and_hidden_files_are_never_listed(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    store.put("a/b", b"x")
    (tmp_path / ".staging" / ".staging-1").write_bytes(b"half")
    (tmp_path / "a" / ".hidden").write_bytes(b"x")
    assert store.list("") == ["a/b"]
    assert [path.name for path in (tmp_path / ".staging").iterdir()] == [".staging-1"]


def test_a_store_that_nobody_wrote_to_leaves_no_trace(tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "objects")
    assert store.list("a/") == []
    assert not store.exists("a")
    store.delete("a")
    with pytest.raises(ObjectMissingError, match="NORIA_HOME"):
        store.get("a")
    with pytest.raises(ObjectMissingError, match="NORIA_HOME"):
        store.fetch_folder("a", tmp_path / "got")
    assert list(tmp_path.iterdir()) == []


def test_an_address_of_an_object_is_one_for_other_programs(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    store.put("a/b", b"x")
    assert store.uri("a/b") == str(tmp_path / "a" / "b")


def test_a_relative_root_stays_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    store = FolderStore(Path("objects"))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    store.put("a", b"x")
    assert (tmp_path / "objects" / "a").read_bytes() == b"x"


def test_an_object_where_a_folder_is_asked_for_is_no_folder(tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "objects")
    store.put("x/file", b"1")
    with pytest.raises(ObjectMissingError):
        store.fetch_folder("x/file", tmp_path / "got")
    with pytest.raises(ObjectMissingError):
        store.get("x")


def test_a_folder_that_changes_while_it_is_copied_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = tmp_path / "made"
    made.mkdir()
    (made / "a").write_bytes(b"one")
    copy = shutil.copyfile

    def copy_late(source: Path, target: Path) -> None:
        source.write_bytes(b"two")
        copy(source, target)

    monkeypatch.setattr(shutil, "copyfile", copy_late)
    store = FolderStore(tmp_path / "objects")
    with pytest.raises(StoreError, match=r"changed while it was copied.*run again"):
        store.put_folder("x", made)
    assert not store.exists("x")
