"""Cron: the times of the clock that Kubeflow Pipelines takes, checked before they are sent there.

It reads six fields, the first of which is the second, as the library robfig/cron does in its first version.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from noria.errors import UsageError

MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
LONGEST = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)  # days of each month
_PART = re.compile(r"(?P<first>\*|\?|[0-9]{1,2}|[a-z]{3})(?:-(?P<last>[0-9]{1,2}|[a-z]{3}))?(?:/(?P<step>[0-9]{1,2}))?")


@dataclass(frozen=True, kw_only=True)
class Field:
    """One field: its bounds, and the names that stand for numbers from the lowest on."""

    name: str
    low: int
    high: int
    names: tuple[str, ...] = ()

    def read(self, text: str) -> frozenset[int]:
        """The numbers that it means; UsageError for one out of bounds, and for what is no number."""
        return frozenset(number for part in text.lower().split(",") for number in self._read_part(text, part))

    def _read_part(self, text: str, part: str) -> range:
        found = _PART.fullmatch(part)
        if not found:
            raise self._refuse(text, "is no number, range a-b, list a,b, step */n or *")
        first, last, step = found["first"], found["last"], int(found["step"] or 1)
        if first in ("*", "?"):
            if last:
                raise self._refuse(text, "is a range from everything")
            low, high = self.low, self.high
        else:
            low = self._number(text, first)
            # As KFP has it, a step without an end goes on to the highest.
            high = self._number(text, last) if last else (self.high if found["step"] else low)
        if low > high or not step:
            raise self._refuse(text, "goes backwards" if step else "has a step of 0")
        return range(low, high + 1, step)

    def _number(self, text: str, word: str) -> int:
        number = int(word) if word.isdigit() else self.names.index(word) + self.low if word in self.names else -1
        if not self.low <= number <= self.high:
            raise self._refuse(text, "is out of bounds")
        return number

    def _refuse(self, text: str, what: str) -> UsageError:
        names = f", or {self.names[0]} to {self.names[-1]}" if self.names else ""
        sunday = "; Sunday is 0" if self.name == "weekday" else ""
        return UsageError(f"--cron: {self.name} {text!r} {what}: expected {self.low} to {self.high}{names}{sunday}")


FIELDS = (
    Field(name="second", low=0, high=59),
    Field(name="minute", low=0, high=59),
    Field(name="hour", low=0, high=23),
    Field(name="day", low=1, high=31),
    Field(name="month", low=1, high=12, names=MONTHS),
    Field(name="weekday", low=0, high=6, names=WEEKDAYS),
)


def parse_cron(text: str) -> str:
    """Five fields, from the minute on, or six, as KFP's six; UsageError for what is none, and for what never comes."""
    words = text.split()
    if len(words) not in (5, 6):
        raise UsageError(
            f"--cron {text!r} has {len(words)} {'field' if len(words) == 1 else 'fields'}: expected five, minute, "
            "hour, day, month and weekday, as in '0 2 * * *'; a sixth in front of them is the second"
        )
    words = words if len(words) == 6 else ["0", *words]
    *_, days, months, _ = (field.read(word) for field, word in zip(FIELDS, words, strict=True))
    # Where a weekday is given beside the day, either of them is enough.
    if words[5][0] in "*?" and min(days) > max(LONGEST[month - 1] for month in months):
        raise UsageError(f"--cron {text!r} never comes: none of its months has a day {min(days)}")
    return " ".join(words)
