"""Fashion: the real data, and what happens when they are not what they should be."""

import shutil
from datetime import UTC, datetime

import numpy as np
import pytest
from PIL import Image

from noria.errors import SourceError
from noria.ml.dataset import utc
from noria.task import FetchesSource, ReadsItems, Window, load_task
from noria.tasks.fashion import DEBIAN_FOLDER, Fashion

FILES = [f"{part}-{kind}-ubyte.gz" for part in ("train", "t10k") for kind in ("images-idx3", "labels-idx1")]

pytestmark = pytest.mark.skipif(not DEBIAN_FOLDER.is_dir(), reason="needs the Debian package dataset-fashion-mnist")


def window(first, last):
    return Window(start=datetime(2017, *first, tzinfo=UTC), end=datetime(2017, *last, tzinfo=UTC))


@pytest.fixture
def source(tmp_path):
    for name in FILES:
        shutil.copy(DEBIAN_FOLDER / name, tmp_path / name)
    return tmp_path


def test_the_task_is_found_by_its_entry_point():
    assert isinstance(load_task("fashion"), Fashion)
    assert isinstance(load_task("fashion"), ReadsItems | FetchesSource)


def test_all_pictures_are_replayed_in_order_of_time():
    tables = list(Fashion().read(None, window((9, 1), (11, 10))))
    times = np.concatenate([table.column("time").cast("timestamp[us]").to_numpy() for table in tables])
    assert len(times) == 70_000
    assert (np.diff(times) > np.timedelta64(0)).all()
    assert utc(times[0]) == datetime(2017, 9, 1, tzinfo=UTC)


def test_a_window_takes_its_days_alone():
    tables = list(Fashion().read(None, window((10, 30), (11, 1))))
    ids = [name for table in tables for name in table.column("id").to_pylist()]
    assert ids[0] == "train-59000"
    assert ids[1000] == "t10k-00000"
    assert len(ids) == 2000


def test_slices_know_kinds_of_garment():
    rows = {"ink": np.zeros(3), "label": np.array([0, 5, 8])}
    slices = Fashion().slices(rows)
    assert slices["tops"].tolist() == [True, False, False]
    assert slices["dark pictures"].all()


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_names_the_package_and_the_setting(source, name):
    (source / name).unlink()
    with pytest.raises(SourceError, match=r"dataset-fashion-mnist.*NORIA_SOURCE_FASHION"):
        list(Fashion().read(source, window((9, 1), (9, 2))))


def test_a_truncated_file_is_named(source):
    path = source / "t10k-labels-idx1-ubyte.gz"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(SourceError, match=r"t10k-labels-idx1-ubyte.gz cannot be unpacked"):
        list(Fashion().read(source, window((9, 1), (9, 2))))


def test_labels_of_the_other_part_are_told(source):
    shutil.copy(source / "t10k-labels-idx1-ubyte.gz", source / "train-labels-idx1-ubyte.gz")
    with pytest.raises(SourceError, match="says it holds 10000, expected 60000"):
        list(Fashion().read(source, window((9, 1), (9, 2))))


def test_a_changed_file_changes_the_fingerprint(source):
    before = Fashion().fingerprint(source)
    assert before == Fashion().fingerprint(DEBIAN_FOLDER)
    path = source / FILES[0]
    path.write_bytes(path.read_bytes() + b"\0")
    assert Fashion().fingerprint(source) != before


def test_a_picture_file_becomes_a_row(tmp_path):
    Image.fromarray(np.full((56, 56, 3), 200, np.uint8)).save(tmp_path / "grey.png")
    row = Fashion().read_item(tmp_path / "grey.png")
    assert row["image"].shape == (1, 28, 28)
    assert (row["image"] == 200).all()


def test_a_file_that_is_no_picture_is_told(tmp_path):
    (tmp_path / "text.png").write_text("no picture")
    with pytest.raises(SourceError, match="cannot be read as a picture"):
        Fashion().read_item(tmp_path / "text.png")
