"""Logs: one line of JSON for each event on standard error, and never more than a few of a kind in a minute."""

from __future__ import annotations

import json
import logging
import sys
import traceback
from collections import defaultdict
from datetime import UTC, datetime

BURST = 20  # lines of one kind in a minute; the next line of that kind says how many were left out
MINUTE = 60.0


class JsonFormatter(logging.Formatter):
    """A record as JSON: when, how grave, what, and the traceback where there is one."""

    def format(self, record: logging.LogRecord) -> str:
        content: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
        }
        if left_out := getattr(record, "left_out", 0):
            content["left_out"] = left_out
        if record.exc_info and record.exc_info[1] is not None:
            content["traceback"] = "".join(traceback.format_exception(record.exc_info[1]))
        return json.dumps(content)


class Sample(logging.Filter):
    """Lets the first lines of each kind through in every minute; a kind is a message before its values are put in."""

    def __init__(self, burst: int = BURST) -> None:
        super().__init__()
        self._burst = burst
        self._seen: defaultdict[str, int] = defaultdict(int)
        self._left_out: dict[str, int] = {}
        self._minute = 0.0

    def filter(self, record: logging.LogRecord) -> bool:
        if record.created - self._minute >= MINUTE:
            self._minute = record.created
            self._left_out = {kind: seen - self._burst for kind, seen in self._seen.items() if seen > self._burst}
            self._seen.clear()
        kind = str(record.msg)
        self._seen[kind] += 1
        record.left_out = self._left_out.pop(kind, 0)
        return self._seen[kind] <= self._burst


def set_up_logs() -> None:
    """Send the process's log to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    handler.addFilter(Sample())
    logging.basicConfig(level=logging.INFO, handlers=[handler])
