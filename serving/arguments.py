"""Arguments: what one value on the command line may be, and how options of such values are added."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import Any, Protocol

from serving.names import check_name
from serving.refusal import RequestError

LAST_PORT = 65_535


class Arguments(Protocol):
    """A parser or a group of its arguments."""

    def add_argument(self, *names: str, **settings: Any) -> Any:
        """Add an argument, as argparse's parsers and groups do."""


def named_folder(text: str) -> tuple[str, Path]:
    """A model's name and the folder of its bundle."""
    name, equals, folder = text.partition("=")
    if not (equals and folder):
        raise argparse.ArgumentTypeError(f"found {text!r}: expected NAME=DIR")
    return model_name(name), Path(folder)


def model_name(text: str) -> str:
    """A model's name, as it stands in addresses."""
    try:
        return check_name(text)
    except RequestError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def add_seconds(parser: Arguments, name: str, default: float, explanation: str) -> None:
    parser.add_argument(name, type=seconds, default=default, metavar="S", help=f"{explanation} (default: %(default)g)")


def add_number(parser: Arguments, name: str, default: int, explanation: str, least: int = 1) -> None:
    def at_least(text: str) -> int:
        number = int(text)
        if number < least:
            raise argparse.ArgumentTypeError(f"found {number}: expected at least {least}")
        return number

    parser.add_argument(name, type=at_least, default=default, metavar="N", help=f"{explanation} (default: %(default)s)")


def add_port(parser: Arguments, name: str, explanation: str, default: int | None = None) -> None:
    shown = "off" if default is None else default
    help_text = f"{explanation}, 0 to {LAST_PORT}; 0 takes any free one (default: {shown})"
    parser.add_argument(name, type=port, default=default, metavar="N", help=help_text)


def port(text: str) -> int:
    """A TCP port; 0 is any free one."""
    if not re.fullmatch("[0-9]{1,5}", text) or int(text) > LAST_PORT:
        raise argparse.ArgumentTypeError(f"found {text!r}: expected a port, 0 to {LAST_PORT}; 0 takes any free one")
    return int(text)


def share(text: str) -> float:
    share = float(text)
    if not 0 <= share <= 1:
        raise argparse.ArgumentTypeError(f"found {text}: expected 0 to 1")
    return share


def seconds(text: str) -> float:
    seconds = float(text)
    if not 0 <= seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"found {text}: expected a number of seconds from 0")
    return seconds
