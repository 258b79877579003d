"""Every malformed request of the corpus, straight into the reader."""

from __future__ import annotations

import contextlib
import gc
import itertools
import time
import tracemalloc

import pytest
from corpus import BODIES, FORMS, MAX_BODY, MAX_ROWS, Case

from serving.packing import unpack
from serving.protocol import OutputSpec, PredictionRequest, RequestReader, parse_json_length
from serving.refusal import RequestError

OUTPUTS = (
    OutputSpec(name="probabilities", datatype="FP32", shape=(3,)),
    OutputSpec(name="label", datatype="INT64", shape=()),
)
READERS = {form.model: RequestReader(form.columns, OUTPUTS, MAX_ROWS) for form in FORMS}
SECONDS = 0.005


def read(case: Case) -> PredictionRequest:
    reader = READERS[case.model]
    headers = {name.lower(): value.encode("latin-1") for name, value in case.headers.items()}
    body = unpack(case.body, headers.get("content-encoding", b""), MAX_BODY)
    if case.path.endswith(":predict"):
        return reader.read_v1(body)
    given = headers.get("inference-header-content-length")
    return reader.read_v2(body, None if given is None else parse_json_length(given, len(body)))


def test_the_corpus_is_large_and_names_each_case_once():
    names = [case.name for case in BODIES]
    assert len(names) >= 300
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("case", BODIES, ids=[case.name for case in BODIES])
def test_a_malformed_request_is_refused_in_words_and_at_once(case: Case):
    took = []
    for _ in range(5):
        start = time.perf_counter()
        with pytest.raises(RequestError) as refusal:
            read(case)
        took.append(time.perf_counter() - start)
    error = refusal.value
    assert error.status == case.status, error
    assert case.says in str(error)
    assert len(str(error)) < 1000
    assert min(took) < SECONDS


def test_refusals_leave_nothing_in_memory():
    def refuse_all() -> int:
        for case in BODIES:
            with contextlib.suppress(RequestError):
                read(case)
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        refuse_all()  # fills what is kept on purpose
        held = [refuse_all() for _ in range(5)]
    finally:
        tracemalloc.stop()
    # What a refusal keeps, every round keeps; a thread of another test may hold more in one of them.
    assert min(after - before for before, after in itertools.pairwise(held)) < 16 * len(BODIES)


@pytest.mark.parametrize("form", FORMS, ids=[form.model for form in FORMS])
def test_the_requests_that_the_corpus_bends_are_good(form):
    import json

    reader = READERS[form.model]
    body, size = form.binary()
    rows = [reader.read_v2(json.dumps(form.v2()).encode(), None).rows, reader.read_v2(body, size).rows]
    assert [*rows, reader.read_v1(json.dumps(form.v1()).encode()).rows] == [2, 2, 2]
