"""Which online store the predictor of `noria serve` reads: the one that the settings name."""

from pathlib import Path

import pytest

from noria.cli.serve import arguments_for
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
