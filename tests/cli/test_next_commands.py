"""Next: what a run's end tells to type works for that very run."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from noria.cli.run import words_of
from noria.cli.summary import next_commands, spell_settings
from noria.settings import Settings


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, ""),
        ({"NORIA_HOME": "/my homes/a"}, "NORIA_HOME='/my homes/a' "),
        ({"NORIA_OBJECTS": "s3://models/noria"}, "NORIA_OBJECTS=s3://models/noria "),
        (
            {"NORIA_HOME": "/a", "NORIA_TRUSTED_KEYS": "/keys", "NORIA_SOURCE_FASHION": "/pictures"},
            "NORIA_HOME=/a NORIA_TRUSTED_KEYS=/keys NORIA_SOURCE_FASHION=/pictures ",
        ),
        ({"NORIA_REGISTRY": "postgresql://me:secret@host/db"}, ""),
    ],
)
def test_settings_that_are_not_the_usual_ones_stand_in_front(given: dict[str, str], expected: str) -> None:
    assert spell_settings(Settings.from_environment(given)) == expected


def commands(outcome: str, given: tuple[str, ...], seed: int = 1) -> list[str]:
    prepared = SimpleNamespace(task=SimpleNamespace(name="wine"), parameters=SimpleNamespace(seed=seed))
    told = SimpleNamespace(prepared=prepared, ended=SimpleNamespace(outcome=outcome), given=given)
    return [" ".join(words) for words, _ in next_commands(told)]


def test_the_next_run_is_this_one_with_another_seed() -> None:
    given = words_of("prod", ["seed=4", "epochs=2", "end=2026-03-01"], "2026-02-01")
    run = "run --task wine --env prod --as-of 2026-02-01 --param epochs=2 --param end=2026-03-01 --param seed=5"
    assert commands("promoted", given, seed=4) == ["serve --task wine", "status --task wine", run]
    assert commands("refused", given, seed=4) == ["status --task wine", "releases --task wine", run]
    assert commands("unchanged", words_of("dev", [], ""))[2] == "run --task wine --param seed=2"


def test_a_home_that_is_the_projects_own_is_not_spelled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert spell_settings(Settings.from_environment({"NORIA_HOME": str(tmp_path / ".noria")})) == ""
