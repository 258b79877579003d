"""Plan: what a model's requests bring themselves, and what its feature service adds to them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from noria.errors import BundleError
from noria.features import FeatureService, Field
from noria.ml.bundle import Facts
from noria.schema import Column, Schema

KEY_LENGTH = 512  # characters of a key; longer ones name nothing, and would have to be sent to the store
DAY = 86_400_000_000
# Seconds and milliseconds since 1970 all lie before these instants, nanoseconds after them: a wrong unit is noticed.
FIRST, LAST = 3652 * DAY, 84_006 * DAY  # 1980 and 2200, in µs since 1970


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The columns of a request, by where they come from.

    A request has either all features, or `own` and `keys`; then `supplied` are found by the keys. Either kind may say
    who is asked about (`identity`), and for which `moment`, in µs since 1970. The `context` is read along with them. It
    is counted and logged, and the model is given none of it.
    """

    service: FeatureService
    features: tuple[Column, ...]
    supplied: tuple[Column, ...]
    context: tuple[Column, ...]
    own: tuple[Column, ...]
    keys: tuple[Column, ...]  # some may be features of the request's own
    identity: Column
    moment: Column

    @property
    def asked(self) -> tuple[Column, ...]:
        """What a request has to bring to be completed, each once; keys only where the model takes what they find."""
        if not self.supplied:
            return self.own
        own = {column.name for column in self.own}
        return (*self.own, *(column for column in self.keys if column.name not in own))

    @property
    def optional(self) -> tuple[Column, ...]:
        """What a request that is completed may bring beside what it has to."""
        asked = {column.name for column in self.asked}
        return tuple(column for column in self.further if column.name not in asked)

    @property
    def further(self) -> tuple[Column, ...]:
        """What a request may bring beside its features, each once."""
        features = {column.name for column in self.features}
        there = {column.name: column for column in (*self.keys, self.identity, self.moment)}
        return tuple(column for name, column in there.items() if name not in features)


def make_plan(facts: Facts) -> Plan | None:
    """The plan of a bundle; None where no column comes from a service. BundleError where the two do not fit."""
    service, schema = facts.service, facts.schema
    if service is None:
        return None
    names = {field.name for field in service.fields()} | {age.name for age in service.ages}
    found = tuple(column for column in schema.described if column.name in names)
    if not found:
        return None
    if faults := list(_faults(service, schema)):
        raise BundleError(f"the features of service {service.name} do not fit the bundle's schema: {'; '.join(faults)}")
    return Plan(
        service=service,
        features=schema.features,
        supplied=tuple(column for column in found if column.role == "feature"),
        context=tuple(column for column in found if column.role == "context"),
        own=tuple(column for column in schema.features if column.name not in names),
        keys=tuple(schema[key] for key in service.keys),
        identity=schema.id,
        moment=replace(schema.time, type="int64", minimum=FIRST, maximum=LAST, unit="µs since 1970"),
    )


def _faults(service: FeatureService, schema: Schema) -> Iterator[str]:
    """What would keep a completed request from being one that the model takes."""
    columns = {column.name: column for column in schema.columns}
    described = {column.name: column for column in schema.described}
    for key in service.keys:
        column = columns.get(key)
        if column is None or column.shape or column.type not in {"string", "int32", "int64"}:
            yield f"key {key!r} is {_name(column)}: expected a column of single texts or whole numbers"
    for field in service.fields():
        column = described.get(field.name)
        if column is not None:
            yield from _faults_of(field, column)
    for age in service.ages:
        column = described.get(age.name)
        if column is not None and (column.dtype.kind != "f" or column.shape):
            yield f"age {age.name!r} is {_name(column)}: expected a column of single floats"


def _faults_of(field: Field, column: Column) -> Iterator[str]:
    kinds = {"string": "O", "int64": "iuf", "float64": "f"}[field.type]
    if column.shape or column.dtype.kind not in kinds:
        yield f"field {field.name!r} of {field.type} is {_name(column)}: expected single values of such a kind"
    if column.role == "context":  # nobody is given it, so it may be missing
        return
    if field.default is None and (column.maximum_null_share <= 0 or column.dtype.kind in "iu"):
        yield f"field {field.name!r} has no default, and column {_name(column)} lets no value be missing: give it one"


def _name(column: Column | None) -> str:
    return "missing" if column is None else f"{column.name!r} ({column.type}{list(column.shape) or ''})"
