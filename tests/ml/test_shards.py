"""Shards: the gradient of the parts is the gradient of the whole, and the same bits each time."""

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from noria.ml.shards import Shards, count_shards

PICTURES = torch.rand(12, 1, 8, 8, generator=torch.Generator().manual_seed(1))
LABELS = torch.arange(12) % 3


def make_network(*, norm=False, dropout=0.0):
    with torch.random.fork_rng():
        torch.manual_seed(2)
        layers = [nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4) if norm else nn.Identity(), nn.Dropout(dropout)]
        return nn.Sequential(*layers, nn.Flatten(), nn.Linear(144, 3))


def loss_of(network, features, labels):
    return cross_entropy(network(*features), labels)


def compute(network, count, rows=12):
    shards = Shards(network, count)
    shards.train()
    with shards.open() as pool:
        loss = shards.backward(pool, loss_of, (PICTURES[:rows],), LABELS[:rows])
    return loss, [weight.grad.clone() for weight in network.parameters()]


@pytest.mark.parametrize("count", [2, 3, 5])
@pytest.mark.parametrize("rows", [12, 7, 3])
def test_parts_add_up_to_the_gradient_of_the_whole(count, rows):
    whole, expected = compute(make_network(), 1, rows)
    loss, gradients = compute(make_network(), count, rows)
    assert loss == pytest.approx(whole, rel=1e-6)
    for gradient, other in zip(gradients, expected, strict=True):
        torch.testing.assert_close(gradient, other)


def test_a_second_step_starts_from_the_network_as_it_is_then():
    network = make_network()
    shards = Shards(network, 3)
    with torch.no_grad():
        network[0].weight.mul_(3)
    with shards.open() as pool:
        shards.backward(pool, loss_of, (PICTURES,), LABELS)
        shards.backward(pool, loss_of, (PICTURES,), LABELS)
    expected = make_network()
    with torch.no_grad():
        expected[0].weight.mul_(3)
    torch.testing.assert_close(network[0].weight.grad, (compute(expected, 1), expected[0].weight.grad)[1])


def test_a_replica_shares_the_weights_and_nothing_that_a_thread_writes():
    network = make_network(norm=True)
    replica = Shards(network, 2).replicas[1]
    compute(network, 1)
    for own, shared in zip(replica.parameters(), network.parameters(), strict=True):
        assert own.data_ptr() == shared.data_ptr()
        assert own.grad is None
    for own, other in zip(replica.buffers(), network.buffers(), strict=True):
        assert own.data_ptr() != other.data_ptr()


def test_the_same_bits_come_out_each_time():
    first, again = (compute(make_network(norm=True), 4) for _ in range(2))
    assert first[0] == again[0]
    assert all(torch.equal(one, other) for one, other in zip(first[1], again[1], strict=True))


def test_the_first_part_gives_the_running_statistics():
    network, part = make_network(norm=True), make_network(norm=True)
    compute(network, 3)
    part.train()(PICTURES[:4])
    torch.testing.assert_close(network[1].running_mean, part[1].running_mean)


def test_no_part_has_a_single_row():
    sizes = []

    def noting(network, features, labels):
        sizes.append(len(labels))
        return loss_of(network, features, labels)

    shards = Shards(make_network(norm=True), 4)
    with shards.open() as pool:
        shards.backward(pool, noting, (PICTURES[:5],), LABELS[:5])
    assert sorted(sizes) == [2, 3]


def test_torchs_own_threads_are_as_many_as_before():
    threads = torch.get_num_threads()
    with Shards(make_network(), 2).open():
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == threads


def test_a_failure_in_a_thread_reaches_the_caller():
    def failing(network, features, labels):
        raise ValueError("in a part")

    shards = Shards(make_network(), 2)
    with pytest.raises(ValueError, match="in a part"), shards.open() as pool:
        shards.backward(pool, failing, (PICTURES,), LABELS)


def test_only_convolutions_that_draw_nothing_are_shared_out():
    dense = nn.Linear(8, 3)
    state = torch.get_rng_state()
    assert count_shards(make_network(norm=True), (PICTURES[:2],), 4) == 4
    assert count_shards(make_network(dropout=0.5), (PICTURES[:2],), 4) == 1
    assert count_shards(dense, (torch.zeros(2, 8),), 4) == 1
    assert torch.equal(torch.get_rng_state(), state)


def test_counting_changes_no_statistics():
    network = make_network(norm=True)
    threads = torch.get_num_threads()
    count_shards(network, (PICTURES[:2],), 4)
    assert not network[1].running_mean.any()
    assert torch.get_num_threads() == threads
