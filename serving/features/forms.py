"""Forms: which columns a request may consist of, and what is wrong with any others."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from serving.features.plan import Plan
from serving.refusal import RequestError, show


@dataclass(frozen=True, kw_only=True)
class Form:
    """A set of columns that makes a request; one that is not `full` is completed from the store."""

    names: frozenset[str]
    full: bool


class Forms:
    """Tells the form of a request by the names of its columns. `completes` says whether there is a store."""

    def __init__(self, plan: Plan, *, completes: bool) -> None:
        self._plan = plan
        self._completes = completes
        self._features = frozenset(column.name for column in plan.features)
        self._supplied = frozenset(column.name for column in plan.supplied)
        self._asked = frozenset(column.name for column in plan.asked)
        self._keys = frozenset(column.name for column in plan.keys)
        self._all = self._features | {column.name for column in plan.further}
        self._known: dict[frozenset[str], Form] = {}  # as many as there are ways to leave a few columns out

    def find(self, names: frozenset[str]) -> Form:
        """The form; RequestError says why there is none."""
        form = self._known.get(names)
        if form is None:
            self._check(names)
            form = self._known[names] = Form(names=names, full=not self._is_looked_up(names))
        return form

    def _is_looked_up(self, names: frozenset[str]) -> bool:
        """Say whether the store is asked: for features that lack, or for context alone, where somebody may want it."""
        if self._supplied:
            return not self._supplied <= names
        return self._completes and self._keys <= names

    def _check(self, names: Collection[str]) -> None:
        found, service = frozenset(names), self._plan.service.name
        if not self._supplied:
            self._check_alone(found)
            return
        if strange := sorted(found - self._all):
            raise RequestError(
                f"found the columns {show(strange)}: expected {show(sorted(self._asked))} for the service {service} to "
                f"add the rest, or all of {show(sorted(self._features))}"
            )
        given = self._supplied & found
        if given and given != self._supplied:
            raise RequestError(
                f"found {show(sorted(given))}, but not {show(sorted(self._supplied - given))}: expected all of the "
                f"{len(self._supplied)} features that the service {service} supplies, or none of them"
            )
        needed = self._features if given else self._asked
        if missing := sorted(needed - found):
            raise RequestError(
                f"found no {show(missing)}: expected {show(sorted(needed))}"
                + ("" if given else f", by which the service {service} finds the other features")
            )
        if not given and not self._completes:
            raise RequestError(
                f"found none of {show(sorted(self._supplied))}: expected them, because this predictor reads no online "
                f"store for the service {service}; send them, or have it started with --online"
            )

    def _check_alone(self, found: frozenset[str]) -> None:
        """Refuse columns for a model that brings all of its features itself."""
        missing, strange = sorted(self._features - found), sorted(found - self._all)
        if missing or strange:
            beside = sorted(self._all - self._features)
            said = f"no {show(missing)}" if missing else f"the columns {show(strange)}"
            raise RequestError(
                f"found {said}: expected {show(sorted(self._features))}, and beside them at most {show(beside)}"
            )
