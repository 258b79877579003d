"""Reader: requests for a model with a feature service, with all their features or with keys to find some by."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
from numpy.typing import NDArray

from noria.schema import Column
from serving.envelope import InputTensor, V2Envelope, open_v1
from serving.features.forms import Form, Forms
from serving.features.moments import MomentReader
from serving.features.plan import KEY_LENGTH, Plan
from serving.protocol import OutputSpec, PredictionRequest, RequestReader, identify
from serving.refusal import RequestError, show
from serving.tensors import ColumnReader
from serving.v1 import InstanceReader

WINDOW = 4096  # bytes at each end of the instances where names are looked for: what is guessed wrong is read again

Entities = Mapping[str, Sequence[str | int]]  # by key column, the values of all rows; "" where one is missing
Read = Callable[[InputTensor, ColumnReader, int], NDArray[Any]]


class PartialRequest(PredictionRequest, kw_only=True, gc=False):
    """A request whose `features` are its own only, until those of the store are added; then `note` tells of them."""

    entities: Entities
    moments: NDArray[Any] | None  # in µs since 1970; None for now


class ServiceReader(RequestReader):
    """Reads both kinds of requests; without a store, one that lacks features is refused."""

    def __init__(self, plan: Plan, outputs: Sequence[OutputSpec], max_rows: int, *, completes: bool) -> None:
        super().__init__(plan.features, outputs, max_rows)
        self._plan = plan
        self._max_rows = max_rows
        self._forms = Forms(plan, completes=completes)
        self._by_name = dict(self._readers)
        for column in plan.further:
            is_moment = column.name == plan.moment.name
            self._by_name[column.name] = MomentReader(column) if is_moment else ColumnReader(column)
        self._instances_of: dict[Form, InstanceReader] = {}
        self._guesses = [(_quote(name), frozenset({name})) for name in (column.name for column in plan.further)]
        if plan.supplied:
            self._guesses.append((_quote(plan.supplied[0].name), frozenset(column.name for column in plan.supplied)))
        self._features = frozenset(column.name for column in plan.features)
        self._own = frozenset(column.name for column in plan.own)
        self._alone = self._forms.find(self._features)  # the features, and nothing beside them

    def read_tensors(self, envelope: V2Envelope, read: Read) -> PredictionRequest:
        """See RequestReader."""
        names = frozenset(tensor.name for tensor in envelope.inputs)
        if (names == self._features and self._alone.full) or len(names) != len(envelope.inputs):  # or one twice
            return super().read_tensors(envelope, read)
        form = self._forms.find(names)
        arrays, rows = self._read_inputs(envelope, read, self._by_name)
        request = PredictionRequest(
            id=identify(envelope.id), features=arrays, rows=rows, outputs=self._choose_outputs(envelope)
        )
        return self._finish(request, form)

    def read_v1(self, body: bytes) -> PredictionRequest:
        """See RequestReader."""
        envelope = open_v1(body)
        data = bytes(envelope.instances)
        form, arrays, rows = self._read_instances(data)
        request = PredictionRequest(
            id=identify(envelope.id), features=arrays, rows=rows, outputs=self._all_outputs[False]
        )
        return self._finish(request, form)

    def _read_instances(self, data: bytes) -> tuple[Form, dict[str, NDArray[Any]], int]:
        guessed, form = self._guess(data), None
        try:
            form = self._forms.find(guessed)
            return form, *self._reader_for(form).read(data)
        except RequestError:
            # Look at the names themselves: a text may have looked like one, or there is more to say about them.
            names = _names_in(data)
            if names is None or (form is not None and names == guessed):
                raise
        form = self._forms.find(names)
        return form, *self._reader_for(form).read(data)

    def _guess(self, data: bytes) -> frozenset[str]:
        """The names of the first row, by what of them stands in the text."""
        text = data if len(data) <= 2 * WINDOW else data[:WINDOW] + data[-WINDOW:]
        return self._own.union(*(names for sign, names in self._guesses if sign in text))

    def _reader_for(self, form: Form) -> InstanceReader:
        reader = self._instances_of.get(form)
        if reader is None:
            columns = [each for name, each in self._by_name.items() if name in form.names]
            reader = self._instances_of[form] = InstanceReader(columns, self._max_rows)
        return reader

    def _finish(self, request: PredictionRequest, form: Form) -> PredictionRequest:
        """The request with the model's own columns; what else came along is checked by now, and left."""
        arrays, plan = request.features, self._plan
        if form is self._alone and form.full:
            return request
        of = plan.features if form.full else plan.own
        features = {column.name: arrays[column.name] for column in of}
        if form.full:
            for column in plan.further:
                if column.role == "key" and column.name in arrays:
                    _check_keys(column, arrays[column.name].tolist())
            return msgspec.structs.replace(request, features=features)
        return PartialRequest(
            id=request.id,
            features=features,
            rows=request.rows,
            outputs=request.outputs,
            entities={key.name: _check_keys(key, arrays[key.name].tolist()) for key in plan.keys},
            moments=arrays.get(plan.moment.name),
        )


class ContextReader(ServiceReader):
    """Reads requests for a model that is given nothing of its service; those without keys at no more cost."""

    def __init__(self, plan: Plan, outputs: Sequence[OutputSpec], max_rows: int, *, completes: bool) -> None:
        super().__init__(plan, outputs, max_rows, completes=completes)
        self._quoted = frozenset(map(_quote, self._readers))

    def read_tensors(self, envelope: V2Envelope, read: Read) -> PredictionRequest:
        """See RequestReader."""
        if len(envelope.inputs) <= len(self._readers) and self._alone.full:  # the model's own, or wrong
            return RequestReader.read_tensors(self, envelope, read)
        return super().read_tensors(envelope, read)

    def _read_instances(self, data: bytes) -> tuple[Form, dict[str, NDArray[Any]], int]:
        if self._alone.full and self._seems_alone(data):
            try:
                return self._alone, *self._instances.read(data)
            except RequestError:  # there may be a key after all, or more to say
                pass
        return super()._read_instances(data)

    def _seems_alone(self, data: bytes) -> bool:
        """By its first and its last name: to look at all of the text would cost as much as a part of its reading."""
        first, last = data.find(b'"'), data.rfind(b'"')
        if first < 0:  # bare values
            return True
        names = data[first : data.find(b'"', first + 1) + 1], data[data.rfind(b'"', 0, last) : last + 1]
        return self._quoted.issuperset(names)


def _check_keys(column: Column, keys: list[Any]) -> list[str | int]:
    """Refuse a key that names nothing, unless the schema lets it be missing."""
    if column.type != "string":
        return keys
    if "" in keys and column.maximum_null_share <= 0:
        raise RequestError(f"key {column.name!r} is empty at [{keys.index('')}]: expected the name of an entity")
    if (longest := max(map(len, keys))) > KEY_LENGTH:
        raise RequestError(f"key {column.name!r} has {longest} characters: expected at most {KEY_LENGTH}")
    return keys


def _names_in(data: bytes) -> frozenset[str] | None:
    """The names that all instances have; None where they are no objects, RequestError where they differ."""
    try:
        instances = msgspec.json.decode(data, type=list[dict[str, msgspec.Raw]])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    if not instances:
        raise RequestError("found 0 rows: expected at least 1")
    for place, one in enumerate(instances):
        if apart := one.keys() ^ instances[0].keys():
            raise RequestError(
                f"instances [0] and [{place}] have different columns, {show(sorted(apart))} in one of them: expected "
                "the same in each, so send the two kinds in requests of their own"
            )
    return frozenset(instances[0])


def _quote(name: str) -> bytes:
    return msgspec.json.encode(name)
