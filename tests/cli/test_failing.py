"""Failing: each kind of error becomes one message, one object and one exit code."""

import json

import pytest

from noria.cli.failing import tell_failure
from noria.errors import EvidenceError, SourceError


@pytest.mark.parametrize(
    ("error", "kind", "code", "said"),
    [
        (SourceError("no pictures: bring some"), "SourceError", 1, "no pictures: bring some"),
        (EvidenceError("of another bundle"), "EvidenceError", 3, "of another bundle"),
        (
            NotADirectoryError(20, "Not a directory", "home"),
            "NotADirectoryError",
            1,
            "look at the path, its permissions",
        ),
        (KeyboardInterrupt(), "KeyboardInterrupt", 130, "interrupted"),
    ],
)
def test_an_error_is_told_to_people_and_to_programs(capsys, error, kind, code, said):
    error.add_note("the log is there")
    assert tell_failure(error, as_json=True) == code
    told = capsys.readouterr()
    found = json.loads(told.out)
    assert said in found["error"]
    assert (found["kind"], found["exit_code"]) == (kind, code)
    assert told.err == f"noria: {found['error']}\nnoria: the log is there\n"


def test_people_get_no_object(capsys):
    assert tell_failure(SourceError("no pictures"), as_json=False) == 1
    assert capsys.readouterr().out == ""
