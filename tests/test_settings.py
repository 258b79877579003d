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
