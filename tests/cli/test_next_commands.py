"""Next: what a run's end tells to type works for that very run."""

from types import SimpleNamespace

import pytest

from noria.cli.run import words_of
from noria.cli.summary import next_commands, spell_settings


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"PATH": "/bin", "AWS_SECRET_ACCESS_KEY": "secret"}, ""),
        ({"NORIA_HOME": "/my homes/a"}, "NORIA_HOME='/my homes/a' "),
        (
            {"NORIA_TRUSTED_KEYS": "/keys", "NORIA_HOME": "/a", "NORIA_SOURCE_FASHION": "/pictures"},
            "NORIA_HOME=/a NORIA_SOURCE_FASHION=/pictures NORIA_TRUSTED_KEYS=/keys ",
        ),
        ({"NORIA_REGISTRY": "postgresql://me:secret@host/db"}, ""),
    ],
)
def test_the_runs_settings_stand_in_front_and_no_password(given: dict[str, str], expected: str) -> None:
    assert spell_settings(given) == expected


def commands(outcome: str, given: tuple[str, ...], seed: int = 1) -> list[str]:
    prepared = SimpleNamespace(task=SimpleNamespace(name="wine"), parameters=SimpleNamespace(seed=seed))
    told = SimpleNamespace(prepared=prepared, ended=SimpleNamespace(outcome=outcome), given=given)
    return [" ".join(words) for words, _ in next_commands(told)]


def test_the_next_run_is_this_one_with_another_seed() -> None:
    given = words_of("prod", ["seed=4", "epochs=2", "end=2026-03-01"], "2026-02-01")
    run = "run --task wine --env prod --as-of 2026-02-01 --param epochs=2 --param end=2026-03-01 --param seed=5"
    assert commands("promoted", given, seed=4) == ["serve --task wine", "status --task wine", run]
    assert commands("refused", given, seed=4) == ["status --task wine", "releases --task wine", run]
    assert commands("unchanged", words_of("dev", [], ""))[2] == "run --task wine --env dev --param seed=2"
