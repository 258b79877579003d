"""Learning: T1 and T2, as bench.training measures them, told as figures."""

from __future__ import annotations

import sys
from typing import Any

from bench.figure import Figure, Quantity, tell

T1_GOAL, T2_GOAL, T2_SECONDS = 4.0, 0.93, 180.0
T1_HOW = (
    "Whole trainings of {epochs} epochs on {rows:,} pictures, in turn, by PyTorch's tutorial loop (DataLoader, "
    "float32, NCHW) and by Noria's; the same network, first weights, variation of pictures, optimiser and schedule, a "
    "seed of its own each round, {threads} threads. The goal is met when the rate is, and the accuracies on the test "
    "pictures differ by nothing that the rounds could show: the differences span zero, or Noria's is the better."
)
T2_HOW = (
    "The task's own recipe on {rows:,} pictures with {threads} threads, once for each seed; early stopping looks at "
    "6,000 others, and the accuracy is that on the 10,000 test pictures. There is no peer."
)


def of_summary(name: str, unit: str, found: dict[str, float]) -> Quantity:
    return Quantity(name=name, unit=unit, **found)


def tell_speed(found: dict[str, Any], *, quick: bool) -> Figure:
    speed = found["T1"]
    met = speed["ratio"]["median"] >= T1_GOAL and speed["accuracy_difference"]["maximum"] >= 0
    return Figure(
        id="T1",
        title="Training, images per second",
        goal=f"at least {T1_GOAL:.0f} × the plain loop, at equal accuracy",
        met=None if quick else met,
        how=T1_HOW.format(epochs=speed["epochs"], rows=speed["rows"], threads=found["threads"]),
        rounds=speed["rounds"],
        ratios=(
            of_summary("rate, Noria ÷ plain loop", "×", speed["ratio"]),
            of_summary("processor time, plain loop ÷ Noria", "×", speed["cpu_ratio"]),
        ),
        quantities=(
            of_summary("plain loop", "images/s", speed["plain_images_per_second"]),
            of_summary("Noria", "images/s", speed["noria_images_per_second"]),
            of_summary("plain loop, accuracy", "share", speed["plain_accuracy"]),
            of_summary("Noria, accuracy", "share", speed["noria_accuracy"]),
            of_summary("difference in accuracy, Noria − plain loop", "share", speed["accuracy_difference"]),
        ),
        facts={"precision": found["precision"]},
        versions={"torch": found["torch"]},
    )


def tell_accuracy(found: dict[str, Any], *, quick: bool) -> Figure:
    learnt = found["T2"]
    met = learnt["accuracy"]["median"] >= T2_GOAL and learnt["seconds"]["median"] <= T2_SECONDS
    return Figure(
        id="T2",
        title="Fashion-MNIST, accuracy",
        goal=f"at least {T2_GOAL:.0%} within {T2_SECONDS:.0f} s on 2 cores",
        met=None if quick else met,
        how=T2_HOW.format(rows=learnt["rows"], threads=found["threads"]),
        rounds=len(learnt["epochs"]),
        quantities=(
            of_summary("accuracy on the test pictures", "share", learnt["accuracy"]),
            of_summary("training", "s", learnt["seconds"]),
            of_summary("training, processor time", "s", learnt["cpu_seconds"]),
        ),
        mark=T2_GOAL,
        facts={"epochs": ", ".join(map(str, learnt["epochs"])), "precision": found["precision"]},
        versions={"torch": found["torch"]},
    )


def measure(*, quick: bool) -> list[Figure]:
    from bench import training

    found = training.measure(quick)
    return [tell_speed(found, quick=quick), tell_accuracy(found, quick=quick)]


if __name__ == "__main__":
    tell(measure(quick="--quick" in sys.argv))
