"""Parameters: WHAT a run does, as typed values; the environment, the task and the command line fill them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, timedelta
from pathlib import Path
from typing import Any

import msgspec
import yaml

from noria.errors import UsageError
from noria.gates.limits import Departure, Limits, departures
from noria.ml.training import TrainingOptions, TrainingParameters
from noria.ml.validation import ValidationRules
from noria.steps.groups import read_group, read_values
from noria.steps.ingest import parse_moment, parse_window
from noria.steps.settle import RESOLVED, plan_digest
from noria.steps.words import ask_back
from noria.task import ChecksNetwork, Task, Value, Window

FOLDER = Path(__file__).parent / "params"
GROUPS = ("network", "training", "rules", "limits")  # parameters that are groups of values
SETTLED = (*RESOLVED, "task", "source", "code", "environment_limits")  # found out, and not to be given
# The keys of an environment's file that are no parameters, but rules for those who start a run there.
LOOSENING = "limits_may_be_loosened"
BY_DIGEST = "image_by_digest"


@dataclass(frozen=True, kw_only=True)
class Parameters:
    """The pipeline's parameters; the components say what each means. UsageError for a value that no step could use."""

    task: str
    source: str
    start: str
    end: str
    validation_days: int
    holdout_days: int
    seed: int
    epochs: int
    batch_size: int
    learning_rate: float
    patience: int
    threads: int
    network: Mapping[str, Value]
    draws: int
    rules: Mapping[str, float]
    limits: Mapping[str, float]
    environment_limits: Mapping[str, float]
    requests: int
    load_requests: int
    code: str
    training: Mapping[str, Value] = field(default_factory=dict)  # what `TrainingOptions` names
    as_of: str = ""  # the moment of which training may know; "": the end of the window
    champion: str = ""
    basis: str = ""
    plan: str = ""

    def __post_init__(self) -> None:
        window = parse_window(self.start, self.end)
        self._check_days(window)
        if self.as_of and (as_of := parse_moment("as_of", self.as_of)) <= window.start:
            raise UsageError(
                f"parameter as_of is {as_of}, and the window begins at {window.start}: expected a later moment, at "
                "which some of its rows are known"
            )
        self.recipe()
        read_group("rules", self.rules, ValidationRules)
        read_group("limits", self.limits, Limits)
        for name in ("draws", "requests", "load_requests"):
            self._check_positive(name)

    def _check_positive(self, name: str) -> None:
        if getattr(self, name) < 1:
            raise UsageError(f"parameter {name} is {getattr(self, name)}: expected at least 1")

    def _check_days(self, window: Window) -> None:
        """Refuse days that no data of the window could give: they are cut at midnights, back from its end."""
        self._check_positive("validation_days")
        self._check_positive("holdout_days")
        first, last = (at.astimezone(UTC) for at in (window.start, window.end))
        days = ((last - timedelta(microseconds=1)).date() - first.date()).days + 1
        if (asked := self.validation_days + self.holdout_days) >= days:
            raise UsageError(
                f"validation_days is {self.validation_days} and holdout_days {self.holdout_days}: expected fewer "
                f"together than the {days} days of the window, {self.start} to {self.end}, for {asked} leave none to "
                "train on. Widen the window or shorten these"
            )

    def recipe(self) -> TrainingParameters:
        """How to train, as the step train reads it; UsageError for a value out of its range."""
        names = {field.name for field in fields(TrainingParameters)} & {field.name for field in fields(self)}
        given = {name: getattr(self, name) for name in names} | {"network": read_values(self.network)}
        return TrainingParameters(**given, **asdict(read_group("training", self.training, TrainingOptions)))

    def departures(self) -> tuple[Departure, ...]:
        """The limits that are not the environment's own."""
        return departures(*(read_group("limits", group, Limits) for group in (self.limits, self.environment_limits)))

    def arguments(self) -> dict[str, Any]:
        """The arguments of the compiled pipeline."""
        return {field.name: _plain(getattr(self, field.name)) for field in fields(self)}

    def digest(self) -> str:
        """The sha256 of what the run does: equal digests, equal results."""
        return plan_digest(self.arguments())


def _plain(value: Any) -> Any:
    return dict(value) if isinstance(value, Mapping) else value


def environments(folder: Path = FOLDER) -> list[str]:
    """The names of the environments: one file each."""
    return sorted(path.stem for path in folder.glob("*.yaml"))


def read_environment(name: str, folder: Path = FOLDER) -> dict[str, Any]:
    """Read an environment's parameters; UsageError names the environments there are."""
    path = folder / f"{name}.yaml"
    if not path.is_file():
        known = environments(folder)
        raise UsageError(f"no environment {name!r}: there are {', '.join(known)} in {folder}{ask_back(name, known)}")
    try:
        values = yaml.safe_load(path.read_text())
    except yaml.YAMLError as error:
        raise UsageError(f"{path} does not parse ({error}): mend it") from error
    if not isinstance(values, dict):
        raise UsageError(f"{path} holds {type(values).__name__}: expected a mapping of parameter names to values")
    return values


def load(
    environment: str, task: Task, given: Mapping[str, str], known: Mapping[str, str], folder: Path = FOLDER
) -> Parameters:
    """Put a run's parameters together: the environment's, then the task's defaults, then what was `given` as text.

    `known` holds what the caller found out: the source's fingerprint and the code's digest. Raises UsageError for a
    key that nobody knows, a value of the wrong type or out of its range, with what is allowed, and for a loosened limit
    where the environment's file does not let limits be loosened.
    """
    values = read_environment(environment, folder)
    may_loosen = values.pop(LOOSENING, False)
    values.pop(BY_DIGEST, None)  # see `check_image`
    twice = sorted(set(values) & set(task.defaults))
    if twice:
        raise UsageError(
            f"{', '.join(twice)} stand in {environment}.yaml and in task {task.name}: a value has one place"
        )
    settled = {"task": task.name, "environment_limits": values.get("limits", {}), **known}
    values |= {"as_of": "", "training": {}, **task.defaults}
    for key, text in given.items():
        _set(values, key, text)
    values["as_of"] = values["as_of"] or values.get("end", "")
    found = _typed(values | settled, environment)
    loosened = [f"limits {one}" for one in found.departures() if one.looser]
    # The rules of validation have no direction of their own: what is clean is the environment's to say.
    loosened += [key for key in given if key.startswith("rules.")]
    if loosened and may_loosen is not True:
        raise UsageError(
            f"{', '.join(loosened)}: {environment} lets nobody loosen its gates for one run; change "
            f"{environment}.yaml, where others see it, or run where {LOOSENING} is true"
        )
    if isinstance(task, ChecksNetwork):
        task.check_network(read_values(found.network))
    return found


def check_image(environment: str, image: str, folder: Path = FOLDER) -> None:
    """UsageError where the environment's file wants the steps' image by its digest, and `image` is none or a tag."""
    wanted = read_environment(environment, folder).get(BY_DIGEST, False)
    if wanted is False or "@sha256:" in image:
        return
    raise UsageError(
        f"the steps' image is {image or 'that of the compiled pipeline, by its tag'}, and {BY_DIGEST} is {wanted} in "
        f"{environment}.yaml, for a tag can come to mean other code: expected --image, or NORIA_IMAGE, as "
        "registry/name@sha256:…"
    )


def _set(values: dict[str, Any], key: str, text: str) -> None:
    """Set `key` (or `group.key`) to the YAML value of the text."""
    allowed = [field.name for field in fields(Parameters) if field.name not in SETTLED]
    group, _, name = key.partition(".")
    if group not in allowed or (bool(name) != (group in GROUPS)):
        raise UsageError(
            f"no parameter {key!r}: there are {', '.join(allowed)} ({', '.join(f'{name}.<key>' for name in GROUPS)})"
            f"{_ask_back(group, name, allowed)}"
        )
    if not name and isinstance(values.get(key), str):
        values[key] = text
        return
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UsageError(f"parameter {key} is {text!r}: expected a number or a word, as YAML writes it") from error
    if name:
        values[group] = {**values.get(group, {}), name: value}
    else:
        values[key] = value


def _ask_back(group: str, name: str, allowed: Sequence[str]) -> str:
    """Ask for what was meant, as it has to be written: a group with one of its keys, all else without a key."""
    for of_group, kind in (("training", TrainingOptions), ("rules", ValidationRules), ("limits", Limits)):
        if not name and group in {field.name for field in fields(kind)}:
            return f"; did you mean '{of_group}.{group}'?"
    question = ask_back(group, [one for one in allowed if (one in GROUPS) == bool(name)])
    return question.replace("'?", f".{name}'?") if name else question


def _typed(values: Mapping[str, Any], environment: str) -> Parameters:
    names = {field.name for field in fields(Parameters)}
    unknown, missing = sorted(set(values) - names), sorted(names - set(values) - set(RESOLVED))
    if unknown:
        raise UsageError(f"unknown parameters {', '.join(unknown)} in {environment}.yaml or the task: remove them")
    if missing:
        raise UsageError(
            f"parameters {', '.join(missing)} have no value: neither {environment}.yaml nor the task's defaults have it"
        )
    try:
        return msgspec.convert(dict(values), Parameters, strict=True)
    except msgspec.ValidationError as error:
        raise UsageError(f"a parameter has a value of the wrong type: {error}") from error
