"""No-op: a chain of steps that do nothing, so that only what runs them takes time."""

from typing import Any

from kfp import dsl

from components.step import step


@step
def add_one(number: int) -> int:
    return number + 1


@step
def write_down(number: int, answer: dsl.Output[dsl.Artifact]) -> None:
    with open(answer.path, "w") as file:  # noqa: PTH123 - a step's body imports nothing here
        file.write(str(number))


def make_pipeline(steps: int) -> Any:
    """A pipeline of so many steps, each waiting for the one before; the last writes down how many came before it."""

    @dsl.pipeline(name="no-op")
    def chain(start: int) -> dsl.Artifact:
        number: Any = start
        for _ in range(steps - 1):
            number = add_one(number=number).output
        return write_down(number=number).outputs["answer"]

    return chain
