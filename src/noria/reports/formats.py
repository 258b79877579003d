"""Formats: how figures, digests and instants are written for people."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime

from noria.ml.scores import Interval

INSTANT = re.compile(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)(?:\.0+)?(?![\d.])")
THIN = "\u202f"  # narrow no-break space: holds a figure and its unit together


def decimal(value: float, decimals: int = 4) -> str:
    """A plain figure with a true minus sign; what is not a number says so."""
    if math.isnan(value):
        return "n/a"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    text = f"{value:.{decimals}f}"
    return (text if float(text) else text.lstrip("-")).replace("-", "−")


def percent(share: float, decimals: int = 2) -> str:
    return f"{decimal(share * 100, decimals)}{THIN}%" if math.isfinite(share) else decimal(share)


def points(difference: float, decimals: int = 2) -> str:
    """A difference of shares in percentage points, always signed."""
    text = decimal(difference * 100, decimals)
    return f"+{text}" if math.isfinite(difference) and difference * 100 >= 0.5 * 10**-decimals else text


def chance(p: float) -> str:
    """A p-value in three decimals; what would look like certainty is said to be beyond them."""
    if p >= 0.9995:
        return "> 0.999"
    return "< 0.001" if p < 0.0005 else decimal(p, 3)


def count(rows: int) -> str:
    return f"{rows:,}"


def level(confidence: float) -> str:
    """The confidence of intervals: 0.95 as 95 %."""
    return f"{confidence * 100:g}{THIN}%"


def percent_span(interval: Interval) -> str:
    return f"{decimal(interval.low * 100, 2)} to {decimal(interval.high * 100, 2)}"


def decimal_span(interval: Interval) -> str:
    return f"{decimal(interval.low)} to {decimal(interval.high)}"


def points_span(interval: Interval) -> str:
    return f"{points(interval.low)} to {points(interval.high)}"


def short(digest: str) -> str:
    """The first twelve characters of a digest: enough for people, and for `noria` to find it."""
    return digest[:12]


def instant(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def tidy(text: str) -> str:
    """A sentence with true minus signs before its figures, and instants without empty fractions."""
    return re.sub(r"(?<![\w.])-(?=\.?\d)", "−", INSTANT.sub(r"\1 \2", text))


def moment(text: str) -> str:
    """A value that is an instant without its empty fraction; any other value as it is."""
    return INSTANT.sub(r"\1 \2", text) if INSTANT.fullmatch(text) else text


def clipped(text: str, length: int = 60) -> str:
    """The text, or its beginning and an ellipsis."""
    return text if len(text) <= length else text[: length - 1] + "…"
