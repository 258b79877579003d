"""Feeding: the logits of many rows, whoever computes them."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from noria.ml.feeding import ROWS_AT_ONCE, Examples, compute_logits
from noria.tasks.fashion_network import build

PICTURES = torch.randint(
    0, 256, (2 * ROWS_AT_ONCE + 3, 28, 28), dtype=torch.uint8, generator=torch.Generator().manual_seed(1)
)


@pytest.fixture(scope="module")
def network():
    with torch.random.fork_rng():
        torch.manual_seed(2)
        return build({"width": 4})


def test_logits_of_many_rows_are_those_of_each_in_their_order(network):
    logits = compute_logits(network, (PICTURES,))
    few = compute_logits(network, (PICTURES[-5:],))
    assert logits.shape == (len(PICTURES), 10)
    np.testing.assert_allclose(logits[-5:], few, rtol=1e-4, atol=1e-5)


def test_threads_give_the_logits_of_one(network):
    expected = compute_logits(network, (PICTURES,))
    with ThreadPoolExecutor(2, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        np.testing.assert_allclose(compute_logits(network, (PICTURES,), pool), expected, rtol=1e-4, atol=1e-5)


def test_a_batch_is_the_rows_that_were_asked_for():
    examples = Examples(features=(torch.arange(6).float(), torch.eye(6)), labels=torch.arange(6) * 10)
    (places, lines), labels = examples.take(torch.tensor([4, 0]))
    assert places.tolist() == [4, 0]
    assert lines.argmax(1).tolist() == [4, 0]
    assert labels.tolist() == [40, 0]
