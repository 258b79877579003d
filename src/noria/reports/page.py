"""Page: one self-contained HTML file from a template and a view of facts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING

from noria.reports import formats

if TYPE_CHECKING:
    from jinja2 import Environment


@dataclass(frozen=True, kw_only=True)
class PageContext:
    """What a page says about itself; the time is handed in, so that equal facts make equal bytes.

    `code` is the version of the code that measured. `promoted` says that the ledger has taken the candidate up: without
    it, a candidate that passed its gates is said to have passed them, not to be promoted. `refusal` says why one that
    passed them was refused all the same. `run` may name the run.
    """

    task: str
    code: str
    created: datetime
    run: str = ""
    promoted: bool = False
    refusal: str = ""


def render(template: str, context: PageContext, view: object) -> str:
    """Fill a template; all text in it is escaped unless a drawing of this package says it is markup."""
    return _environment().get_template(template).render(context=context, view=view)


@cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("noria.reports"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True, keep_trailing_newline=True, auto_reload=False,
    )  # fmt: skip
    environment.filters.update(
        {
            name: getattr(formats, name)
            for name in (
                "count",
                "decimal",
                "percent",
                "points",
                "level",
                "short",
                "instant",
                "clipped",
                "tidy",
                "moment",
            )
        }
    )
    return environment
