"""A task that takes no features: what the verbs of the feature store say about it."""

from __future__ import annotations

import pytest
from noria_command import Noria


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("materialize",), "task wine takes no features: expected one with a feature service, such as flights"),
        (("skew",), "task wine takes no features from a store: there is nothing to compare"),
    ],
)
def test_there_is_nothing_to_materialize_or_to_compare(wine: Noria, words: tuple[str, ...], told: str) -> None:
    done = wine(*words, "--task", "wine")
    assert done.code == 2
    assert told in " ".join(done.err.split())
