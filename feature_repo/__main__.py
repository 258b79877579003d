"""Feast's own command over this repository, which keeps its things below NORIA_HOME: `python -m feature_repo apply`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from noria.settings import Settings


def main() -> None:
    home = Settings.from_environment().home
    (home / "features").mkdir(parents=True, exist_ok=True)
    os.environ["NORIA_HOME"] = str(home)  # feature_store.yaml names it, and Feast knows no default for it
    from feast.cli.cli import cli

    cli(args=["-c", str(Path(__file__).parent), *sys.argv[1:]])


if __name__ == "__main__":
    main()
