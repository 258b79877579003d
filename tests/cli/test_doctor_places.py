"""Doctor ticks a cluster's store or registry where it was asked, and says what opens the way where it was not."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from noria.cli.doctor_doubts import UnneededError, UntoldError
from noria.cli.doctor_places import check_objects, check_registry
from noria.errors import BucketMissingError, NoriaError, UsageError
from noria.settings import Settings

KFP = {"NORIA_KFP": "http://127.0.0.1:1"}
CLOSED = "http://127.0.0.1:1"


def settings(folder: Path, **more: str) -> Settings:
    return Settings.from_environment({**KFP, **more}, folder)


@pytest.fixture
def database() -> Iterator[str]:
    """The address of something that listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"postgresql+psycopg://feast:se%23cret@127.0.0.1:{server.getsockname()[1]}/feast"


def test_a_store_that_this_shell_is_not_set_up_for_has_no_tick(tmp_path: Path) -> None:
    for there, words in (
        ({"NORIA_OBJECTS": "s3://noria/dev"}, "s3://noria/dev, by its ConfigMap noria-settings: it was not asked"),
        ({}, "its ConfigMap noria-settings names it, which was not read here"),
    ):
        with pytest.raises(UnneededError, match="make connect ENV=dev") as raised:
            check_objects(settings(tmp_path), lambda there=there: there)
        assert words in str(raised.value)
        assert raised.value.well is None


def test_a_store_that_answers_has_its_tick_and_is_the_one_that_the_steps_use(tmp_path: Path, s3_address: str) -> None:
    connected = settings(tmp_path, NORIA_OBJECTS=s3_address)
    assert check_objects(connected, lambda: {"NORIA_OBJECTS": f"{s3_address}/"}) == f"{s3_address} answers"
    assert "whether the steps use it is not known" in check_objects(connected, dict)
    with pytest.raises(UnneededError, match="it was not asked"):
        check_objects(connected, lambda: {"NORIA_OBJECTS": "s3://noria-other/dev"})
    absent = settings(tmp_path, NORIA_OBJECTS="s3://noria-absent/dev")
    with pytest.raises(BucketMissingError, match="noria-absent"):
        check_objects(absent, lambda: {"NORIA_OBJECTS": "s3://noria-absent/dev"})


def test_a_way_to_the_store_that_is_closed_is_a_doubt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("ACCESS_KEY_ID", "a"), ("SECRET_ACCESS_KEY", "b"), ("ENDPOINT_URL", CLOSED)):
        monkeypatch.setenv(f"AWS_{name}", value)
    with pytest.raises(UntoldError, match=r"cannot be asked from this machine.*`make connect ENV=dev` opens the way"):
        check_objects(settings(tmp_path, NORIA_OBJECTS="s3://noria/dev"), dict)


def test_the_registry_of_the_steps_is_asked_and_not_the_file_of_this_machine(tmp_path: Path, database: str) -> None:
    here = settings(tmp_path)
    found = check_registry(here, lambda: {"NORIA_REGISTRY": database})
    assert found.startswith("postgresql+psycopg at 127.0.0.1:")
    assert found.endswith(" answers")
    for there, well, words in (
        ({}, None, "which was not read here: name the cluster by KUBECONFIG"),
        ({"NORIA_OBJECTS": "s3://noria/dev"}, True, "none, by its ConfigMap noria-settings"),
        ({"NORIA_REGISTRY": "sqlite:////home/r.db"}, True, "/home/r.db, a file of each pod"),
        ({"NORIA_REGISTRY": "s3://noria/dev/r.db"}, None, "it was not asked, `make connect ENV=dev` opens the way"),
        (
            {"NORIA_REGISTRY": "mysql://u:se%23cret@127.0.0.1:1/x"},
            None,
            "from this machine mysql at 127.0.0.1:1 cannot",
        ),
    ):
        with pytest.raises(UnneededError) as raised:
            check_registry(here, lambda there=there: there)
        assert words in str(raised.value)
        assert (raised.value.well, "cret" in str(raised.value)) == (well, False)


def test_a_registry_that_this_shell_names_itself_and_that_is_silent_is_a_fault(tmp_path: Path) -> None:
    address = "mysql://u:se%23cret@127.0.0.1:1/x"
    for there in ({}, {"NORIA_REGISTRY": address}):
        with pytest.raises(NoriaError, match=r"^mysql at 127\.0\.0\.1:1 cannot be reached") as raised:
            check_registry(settings(tmp_path, NORIA_REGISTRY=address), lambda there=there: there)
        assert not isinstance(raised.value, UnneededError)


@pytest.mark.parametrize("password", ["pa#ss9", "pa/ss9", "pa?ss9", "47#ss9", "p[ss9"])
def test_a_password_that_spoils_the_address_is_told_and_not_repeated(tmp_path: Path, password: str) -> None:
    for there in ({}, {"NORIA_REGISTRY": f"postgresql://u:{password}@127.0.0.1:1/x"}):
        own = {} if there else {"NORIA_REGISTRY": f"postgresql://u:{password}@127.0.0.1:1/x"}
        with pytest.raises(
            UsageError, match=r"NORIA_REGISTRY is no address.*escape / # \? @ in the password"
        ) as raised:
            check_registry(settings(tmp_path, **own), lambda there=there: there)
        assert not [part for part in ("ss9", "47") if part in str(raised.value)]
        assert raised.value.__context__ is None, "whose text would hold a part"


def test_a_registry_that_is_not_there_yet_comes_by_materialize(tmp_path: Path) -> None:
    here = Settings.from_environment({}, tmp_path)
    assert check_registry(here, dict).endswith(
        "not there yet: `noria materialize` makes it, on a cluster the CronJob noria-materialize-…"
    )
    (tmp_path / ".noria" / "features").mkdir(parents=True)
    (tmp_path / ".noria" / "features" / "registry.db").touch()
    assert check_registry(here, dict) == str(tmp_path / ".noria" / "features" / "registry.db")
