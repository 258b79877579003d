"""Output: tables for people, JSON for programs."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import datetime

import msgspec
from rich.console import Console
from rich.table import Table


def print_json(facts: object) -> None:
    """Print facts as indented JSON."""
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(facts), indent=2).decode() + "\n")


def make_table(title: str, headings: Sequence[str]) -> Table:
    """A table in the command's one style."""
    table = Table(title=title, title_justify="left", title_style="bold", box=None, padding=(0, 2), header_style="dim")
    for heading in headings:
        table.add_column(heading, overflow="fold")
    return table


def console() -> Console:
    return Console(highlight=False)


def show_time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"
