"""What the predictor of `noria serve` is given: the settings' online store, and words that the command hands on."""

from pathlib import Path

import pytest

from noria.cli.serve import arguments_for, check_words
from noria.errors import UsageError
from noria.settings import Settings


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, ["--online", "/shop/.noria/features/online.db"]),
        (
            {"NORIA_ONLINE": "redis://store:6379/2", "NORIA_ONLINE_PASSWORD_FILE": "redis.password"},
            ["--online", "redis://store:6379/2", "--online-password-file", "/shop/redis.password"],
        ),
    ],
)
def test_the_predictor_reads_the_store_that_the_settings_name(environment, expected):
    settings = Settings.from_environment(environment, Path("/shop"))
    arguments = arguments_for("wine", settings, host="127.0.0.1", http_port=80)
    assert arguments[: -len(expected)] == [
        "--follow",
        "wine",
        "--name",
        "wine",
        "--host",
        "127.0.0.1",
        "--http-port",
        "80",
    ]
    assert arguments[-len(expected) :] == expected


@pytest.mark.parametrize("word", ["--follow", "--host=::1", "--http-port", "--http", "--fol"])
def test_what_has_an_option_of_the_commands_own_is_not_handed_on(word):
    with pytest.raises(UsageError, match=r"^found --\w[\w-]* after --: expected --(task|host|http-port) before it"):
        check_words(["--threads", "2", word, "1"])


def test_all_other_words_are_handed_on():
    check_words(["--grpc-port", "9000", "--online", "other.db", "--name=shoes", "--model", "a=--host", "-h", "--", "x"])
