"""Task: what a class that derives from it need not say, and what a window holds."""

from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pytest

from noria.errors import SourceError, UsageError
from noria.task import Task, Window, hash_folder, load_task


class Coins(Task):
    name = "coins"
    classes = ("heads", "tails", "edge")

    def read(self, source, window):
        yield from ()

    def build_network(self, options):
        raise NotImplementedError

    def fit_rule(self, features, labels):
        raise NotImplementedError


class Half(Task):
    def read(self, source, window):
        yield from ()


class Entry:
    """An entry point, as installing a package makes it."""

    name = "half"

    def load(self):
        return Half


def test_every_error_costs_one_unless_a_task_says_otherwise():
    assert Coins().costs == ((0.0, 1.0, 1.0), (1.0, 0.0, 1.0), (1.0, 1.0, 0.0))


def test_a_batch_stays_as_it_is_and_there_are_no_slices_unless_a_task_says_otherwise():
    batch = (np.ones(3),)
    assert Coins().augment(batch, None) is batch
    assert Coins().slices({}) == {}


def test_a_source_is_told_by_the_names_and_the_bytes_of_its_files(tmp_path):
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "a.csv").write_text("1\n")
    first = Coins().fingerprint(tmp_path)
    assert first == hash_folder(tmp_path) != Coins().fingerprint(None)
    (tmp_path / "deep" / "a.csv").write_text("2\n")
    second = Coins().fingerprint(tmp_path)
    (tmp_path / "deep" / "a.csv").rename(tmp_path / "deep" / "b.csv")
    assert len({first, second, Coins().fingerprint(tmp_path)}) == 3


def test_files_behind_links_belong_to_a_source_and_a_circle_of_links_ends(tmp_path):
    source, elsewhere = tmp_path / "source", tmp_path / "elsewhere"
    source.mkdir()
    elsewhere.mkdir()
    (elsewhere / "a.csv").write_text("1\n")
    (source / "linked").symlink_to(elsewhere)
    (elsewhere / "back").symlink_to(source)
    first = hash_folder(source)
    (elsewhere / "a.csv").write_text("2\n")
    assert hash_folder(source) != first


def test_a_source_without_a_file_is_refused(tmp_path):
    for folder in (tmp_path, tmp_path / "missing"):
        with pytest.raises(SourceError, match="holds no file"):
            Coins().fingerprint(folder)


def test_a_window_holds_its_start_and_not_its_end_in_whatever_zone_it_is_given():
    east = timezone(timedelta(hours=5))
    window = Window(start=datetime(2026, 1, 1, 5, tzinfo=east), end=datetime(2026, 1, 2, tzinfo=UTC))
    times = np.array(["2025-12-31T23:59:59.999999", "2026-01-01", "2026-01-01T23:59:59.999999", "2026-01-02"], "M8[us]")
    assert window.holds(times).tolist() == [False, True, True, False]


def test_a_task_that_lacks_a_member_is_refused_by_name(monkeypatch):
    monkeypatch.setattr("noria.task.entry_points", lambda group: [Entry()])
    with pytest.raises(UsageError, match=r"task half \(Half\) lacks build_network, fit_rule"):
        load_task("half")
