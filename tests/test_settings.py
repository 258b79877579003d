"""Settings: the one reader of environment variables."""

from pathlib import Path

import pytest

from noria.errors import UsageError
from noria.settings import Settings


def read(folder, **environment):
    return Settings.from_environment(environment, folder)


def test_everything_lies_under_one_folder_unless_said_otherwise(tmp_path):
    found = read(tmp_path)
    assert found.home == tmp_path / ".noria"
    assert found.objects == str(tmp_path / ".noria" / "objects")
    assert found.signing_key.is_relative_to(found.home)


def test_objects_may_lie_in_s3(tmp_path):
    assert read(tmp_path, NORIA_OBJECTS="s3://bucket/models").objects == "s3://bucket/models"


def test_another_scheme_is_refused(tmp_path):
    with pytest.raises(UsageError, match="expected a folder or s3://"):
        read(tmp_path, NORIA_OBJECTS="gs://bucket")


def test_a_misspelt_setting_is_named(tmp_path):
    with pytest.raises(UsageError, match="unknown settings NORIA_HOM: there are"):
        read(tmp_path, NORIA_HOM="x")


def test_a_source_is_set_by_task(tmp_path):
    found = read(tmp_path, NORIA_SOURCE_FASHION="/data/fashion", NORIA_SOURCE_MY_TASK="/data/mine")
    assert found.sources == {"fashion": Path("/data/fashion"), "my-task": Path("/data/mine")}
    assert found.source_variable("my-task") == "NORIA_SOURCE_MY_TASK"


def test_online_values_and_the_registry_lie_under_the_home_unless_said_otherwise(tmp_path):
    found = read(tmp_path)
    assert found.online == str(tmp_path / ".noria" / "features" / "online.db")
    assert found.registry == str(tmp_path / ".noria" / "features" / "registry.db")
    assert found.online_password_file is None


@pytest.mark.parametrize(
    ("said", "expected"),
    [("redis://host:1/2", "redis://host:1/2"), ("rediss://host", "rediss://host"), ("sqlite:a.db", "{}/a.db"),
     ("a.db", "{}/a.db"), ("/x/a.db", "/x/a.db")],
)  # fmt: skip
def test_online_values_may_lie_in_a_file_or_a_redis(tmp_path, said, expected):
    assert read(tmp_path, NORIA_ONLINE=said).online == expected.format(tmp_path)


def test_another_online_store_is_refused_without_showing_a_password(tmp_path):
    with pytest.raises(UsageError, match="NORIA_ONLINE is 'mysql://…@host/x': expected a file, redis://") as caught:
        read(tmp_path, NORIA_ONLINE="mysql://user:hidden@host/x")
    assert "hidden" not in str(caught.value)


def test_a_password_file_is_found_from_the_working_folder(tmp_path):
    assert read(tmp_path, NORIA_ONLINE_PASSWORD_FILE="secret").online_password_file == tmp_path / "secret"


def test_the_registry_may_be_a_database(tmp_path):
    assert read(tmp_path, NORIA_REGISTRY="sqlite:////x/registry").registry == "sqlite:////x/registry"
