"""Training: the same bits again, whatever interrupts it, and a clear end where nothing can be learnt."""

import subprocess
import sys
from dataclasses import replace

import circles
import numpy as np
import pytest
import torch
from circles import Circles, FileCheckpoints, make_rows
from torch.nn.functional import cross_entropy

from noria.errors import TrainingError, UsageError
from noria.ml.feeding import ROWS_AT_ONCE, compute_logits, read_features
from noria.ml.loop import train
from noria.ml.progress import silent
from noria.tasks.fashion import Fashion

TRAINING, VALIDATION = make_rows(400, 1), make_rows(200, 2)


class MemoryCheckpoints:
    def __init__(self, data=None):
        self.data, self.saved = data, 0

    def load(self):
        return self.data

    def save(self, data):
        self.data, self.saved = data, self.saved + 1


class InterruptionError(Exception):
    pass


def interrupt(place):
    def tell(text, done):
        if text.startswith(place):
            raise InterruptionError

    return tell


def train_circles(checkpoints=None, progress=silent, task=None, training=TRAINING, validation=VALIDATION, **changes):
    parameters = replace(circles.PARAMETERS, **changes)
    return train(task or Circles(), training, validation, parameters, checkpoints or MemoryCheckpoints(), progress)


def train_pictures(checkpoints, progress=silent):
    """Pictures made of noise, brighter on one side: convolutions in whatever precision this processor takes."""
    labels = np.arange(160) % 10
    pictures = np.random.default_rng(3).integers(0, 120, (160, 28, 28), np.uint8)
    for picture, label in zip(pictures, labels, strict=True):
        picture[:, : 2 * label] += 100
    rows = {"image": pictures, "label": labels}
    parameters = replace(circles.PARAMETERS, network={"width": 8}, epochs=3, batch_size=20, threads=2)
    return train(Fashion(), rows, rows, parameters, checkpoints, progress)


def weights(trained):
    return {name: tensor.numpy().tobytes() for name, tensor in trained.network.state_dict().items()}


def validation_loss(trained):
    logits = compute_logits(trained.network, read_features(Circles.schema, VALIDATION))
    return cross_entropy(torch.from_numpy(logits), torch.from_numpy(VALIDATION["label"])).item()


def test_the_network_of_the_best_epoch_comes_back_in_eval_mode():
    trained = train_circles(epochs=12, patience=12)
    assert trained.best.validation_accuracy > 0.9
    assert not trained.network.training
    assert (
        validation_loss(trained)
        == trained.best.validation_loss
        == min(result.validation_loss for result in trained.history)
    )


def test_equal_seeds_give_equal_bits_and_other_seeds_others():
    first, second = train_circles(), train_circles()
    assert weights(first) == weights(second)
    assert first.history == second.history
    assert weights(train_circles(seed=8)) != weights(first)


@pytest.mark.parametrize("train_small", [train_circles, train_pictures])
@pytest.mark.parametrize("place", ["epoch 2/", "epoch 3/", "training on"])
def test_an_interrupted_training_ends_with_the_same_bits(train_small, place):
    whole, checkpoints = MemoryCheckpoints(), MemoryCheckpoints()
    expected = train_small(whole)
    with pytest.raises(InterruptionError):
        train_small(checkpoints, interrupt(place))
    torch.rand(5)  # whatever happens to torch's own generator in between
    done = checkpoints.saved
    resumed = train_small(checkpoints)
    assert weights(resumed) == weights(expected)
    assert resumed.history == expected.history
    assert checkpoints.data == whole.data
    assert checkpoints.saved == expected.epochs_run  # no epoch that was saved was trained again
    assert done == {"epoch 2/": 1, "epoch 3/": 2, "training on": 0}[place]


def test_a_killed_process_goes_on_from_its_last_whole_epoch(tmp_path):
    command = [sys.executable, circles.__file__, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            if line.startswith("epoch 3/6  training loss"):
                process.kill()
                break
    told = []
    resumed = train_circles(FileCheckpoints(tmp_path), lambda text, done: told.append(text))
    assert "going on after epoch 2/6" in told
    assert weights(resumed) == weights(train_circles())


def flip(data, at):
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


@pytest.mark.parametrize("damage", [
    lambda data: data[:-1],
    lambda data: data[: len(data) // 2],
    lambda data: b"",
    lambda data: b"not safetensors at all",
    lambda data: flip(data, len(data) - 1),
    lambda data: flip(data, len(data) // 2),
    lambda data: data.replace(b'"epoch":2', b'"epoch":3'),
    lambda data: data.replace(b'"network.layers.0.bias"', b'"network.layers.0.bios"'),
])  # fmt: skip
def test_a_damaged_checkpoint_is_reported_and_not_used(damage):
    checkpoints = MemoryCheckpoints()
    with pytest.raises(InterruptionError):
        train_circles(checkpoints, interrupt("epoch 3/"))
    damaged = damage(checkpoints.data)
    assert damaged != checkpoints.data
    told = []
    trained = train_circles(MemoryCheckpoints(damaged), lambda text, done: told.append(text))
    assert any(text.startswith("checkpoint not used") and "starts anew" in text for text in told)
    assert weights(trained) == weights(train_circles())


@pytest.mark.parametrize("change", [
    {"seed": 8}, {"learning_rate": 0.03}, {"epochs": 7}, {"network": {"width": 25}}, {"threads": 2},
    {"training": make_rows(400, 3)}, {"validation": make_rows(200, 3)},
])  # fmt: skip
def test_the_checkpoint_of_another_training_is_reported_and_not_used(change):
    checkpoints = MemoryCheckpoints()
    train_circles(checkpoints)
    told = []
    trained = train_circles(checkpoints, lambda text, done: told.append(text), **change)
    assert any("belongs to training" in text for text in told)
    assert weights(trained) == weights(train_circles(**change))


def test_a_finished_training_is_not_trained_again():
    checkpoints = MemoryCheckpoints()
    first = train_circles(checkpoints)
    again = train_circles(checkpoints)
    assert checkpoints.saved == 6
    assert weights(again) == weights(first)


NOISE = {**make_rows(200, 5), "label": np.random.default_rng(5).integers(0, 2, 200)}


def test_training_stops_when_patience_ends_and_gives_back_the_best_epoch():
    trained = train_circles(training=NOISE, epochs=60, patience=2)
    assert trained.best.epoch + 2 == trained.epochs_run < 60
    assert validation_loss(trained) == trained.best.validation_loss


def test_the_best_epoch_outlives_an_interruption():
    checkpoints, noisy = MemoryCheckpoints(), {"training": NOISE, "epochs": 60, "patience": 2}
    expected = train_circles(**noisy)
    with pytest.raises(InterruptionError):
        train_circles(checkpoints, interrupt(f"epoch {expected.best.epoch + 2}/60"), **noisy)
    assert weights(train_circles(checkpoints, **noisy)) == weights(expected)


def test_progress_rises_from_nothing_to_all_with_several_messages_an_epoch():
    told = []
    train_circles(progress=lambda text, done: told.append((text, done)), epochs=3)
    shares = [done for _, done in told]
    assert shares == sorted(shares)
    assert (shares[0], shares[-1]) == (0, 1)
    assert len(told) >= 3 * 4
    assert any("validation accuracy 0." in text and "rows/s" in text for text, _ in told)


class Watched(Circles):
    """Circles that notes what comes by, and can be given another network."""

    def __init__(self, network=None):
        self.network, self.batches = network, []

    def build_network(self, options):
        return self.network or super().build_network(options)

    def augment(self, features, generator):
        self.batches.append(features[0].clone())
        return super().augment(features, generator)


def test_every_row_is_seen_once_an_epoch_and_no_batch_is_too_small():
    task, rows = Watched(), make_rows(129, 1)
    train_circles(task=task, training=rows, epochs=2, batch_size=64)
    assert [len(batch) for batch in task.batches] == [65, 64, 65, 64]
    first, second = torch.cat(task.batches[:2]), torch.cat(task.batches[2:])
    assert not torch.equal(first, second)
    for seen in (first, second):
        assert torch.equal(seen.sort().values, torch.from_numpy(np.sort(rows["east"])))


def test_a_batch_larger_than_the_rows_is_one_step():
    task = Watched()
    train_circles(task=task, training=make_rows(20, 1), epochs=1, batch_size=512)
    assert [len(batch) for batch in task.batches] == [20]


def test_validation_goes_through_the_network_in_pieces():
    class Counting(circles.CirclesNetwork):
        largest = 0

        def forward(self, east, *others):
            if not self.training:
                Counting.largest = max(Counting.largest, len(east))
            return super().forward(east, *others)

    train_circles(task=Watched(Counting(8)), validation=make_rows(3000, 2), epochs=1)
    assert Counting.largest == ROWS_AT_ONCE


def test_rows_that_cannot_be_written_to_are_read():
    frozen = make_rows(400, 1)
    for column in frozen.values():
        column.flags.writeable = False
    assert weights(train_circles(training=frozen)) == weights(train_circles())


def test_torch_is_left_as_it_was_found():
    torch.manual_seed(5)
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    train_circles(threads=threads + 1)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.get_num_threads() == threads
    assert not torch.are_deterministic_algorithms_enabled()
    assert torch.utils.deterministic.fill_uninitialized_memory


def none_of(rows):
    return {name: values[:0] for name, values in rows.items()}


def with_column(name, values):
    return {**TRAINING, name: values}


@pytest.mark.parametrize(("change", "message"), [
    ({"training": none_of(TRAINING)}, "no training rows: widen the window"),
    ({"validation": none_of(VALIDATION)}, "no validation rows"),
    ({"training": with_column("label", np.zeros(400, np.int64))}, "all 400 training rows are of class 'far'"),
    ({"training": with_column("label", np.full(400, 2))}, "run from 2 to 2: expected 0 to 1"),
    ({"training": with_column("label", np.where(TRAINING["label"] == 0, -1, 1))}, "run from -1 to 1"),
    ({"training": with_column("north", np.array(["north"] * 400, object))}, "'north' has values of type object"),
    ({"training": with_column("north", TRAINING["north"][:9])}, r"\[9, 400\] rows: expected equal numbers"),
    ({"training": {name: TRAINING[name] for name in ("east", "label")}}, "lack the column 'north': found east, label"),
    ({"training": with_column("east", np.full(400, np.nan, np.float32))}, "loss is nan in epoch 1, step 1 of 12"),
    ({"validation": {**VALIDATION, "east": np.full(200, np.inf, np.float32)}}, "in epoch 1, on the validation rows"),
    ({"learning_rate": 1e30}, r"Lower learning_rate \(1e\+30\)"),
])  # fmt: skip
def test_what_cannot_be_learnt_from_is_refused(change, message):
    with pytest.raises(TrainingError, match=message):
        train_circles(**change)


@pytest.mark.parametrize(("name", "value"), [
    ("seed", -1), ("epochs", 0), ("batch_size", 1), ("patience", 0), ("threads", 0), ("learning_rate", 0.0),
    ("learning_rate", float("nan")), ("weight_decay", -0.1), ("label_smoothing", 1.0), ("precision", "float16"),
])  # fmt: skip
def test_a_parameter_out_of_its_range_is_named(name, value):
    with pytest.raises(UsageError, match=f"parameter {name} is"):
        replace(circles.PARAMETERS, **{name: value})
