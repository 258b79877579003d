"""Feast's own command over this repository, with Noria's settings: `python -m feature_repo apply`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from noria.settings import Settings


def main() -> None:
    settings = Settings.from_environment()
    (settings.home / "features").mkdir(parents=True, exist_ok=True)
    from feature_repo.opening import places

    os.environ.update(places(settings))  # feature_store.yaml names them, and Feast knows no default for them
    from feast.cli.cli import cli

    cli(args=["-c", str(Path(__file__).parent), *words(sys.argv[1:])])


def words(given: list[str]) -> list[str]:
    """The command's words; `apply` does not look for tables, for those of some tasks may lie on another machine."""
    unsaid = given[:1] in (["apply"], ["plan"]) and "--skip-source-validation" not in given
    return [*given, "--skip-source-validation"] if unsaid else given


if __name__ == "__main__":
    main()
