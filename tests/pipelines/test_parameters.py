"""Parameters: text becomes types at the door, and what nobody knows is refused by name."""

import pytest
import yaml

from noria.errors import UsageError
from noria.task import load_task
from pipelines import parameters

KNOWN = {"source": "s" * 64, "code": "c" * 64}


def load(given=None, environment="dev", **more):
    return parameters.load(environment, load_task("fashion"), given or {}, KNOWN, **more)


def test_environments_differ_in_values_and_never_in_keys():
    found = [parameters.read_environment(name) for name in parameters.environments()]
    assert parameters.environments() == ["dev", "prod", "qa"]
    for group in ("rules", "limits"):
        assert len({tuple(sorted(values[group])) for values in found}) == 1
    assert len({tuple(sorted(values)) for values in found}) == 1


def test_every_environment_makes_parameters():
    for name in parameters.environments():
        assert load(environment=name).task == "fashion"


def test_given_values_win_and_have_their_types():
    found = load(
        {"seed": "2", "learning_rate": "0.5", "start": "2017-09-05", "network.width": "8", "limits.ece": "0.5"}
    )
    assert (found.seed, found.learning_rate, found.start) == (2, 0.5, "2017-09-05")
    assert found.network == {"width": 8}
    assert found.limits["ece"] == 0.5
    assert found.limits["margin"] == load().limits["margin"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"sed": "2"}, "no parameter 'sed'"),
        ({"plan": "x"}, "no parameter 'plan'"),
        ({"code": "x"}, "no parameter 'code'"),
        ({"limits": "1"}, "no parameter 'limits'"),
        ({"seed.a": "1"}, "no parameter 'seed.a'"),
        ({"seed": "two"}, "wrong type"),
        ({"seed": "1.5"}, "wrong type"),
    ],
)
def test_a_key_or_value_that_does_not_fit_is_named(given, message):
    with pytest.raises(UsageError, match=message):
        load(given)


def test_an_unknown_environment_lists_those_there_are():
    with pytest.raises(UsageError, match="no environment 'stage': there are dev, prod, qa"):
        load(environment="stage")


def test_the_digest_tells_what_a_run_does_and_not_what_it_is_compared_with():
    from dataclasses import replace

    found = load()
    assert replace(found, champion="x", basis="y", plan="z").digest() == found.digest()
    assert load({"seed": "2"}).digest() != found.digest()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seed": None}, "have no value"),
        ({"colour": "red"}, "unknown parameters colour"),
        ({"epochs": 3}, "epochs stand in dev.yaml and in task fashion"),
    ],
)
def test_a_broken_environment_file_is_named(tmp_path, change, message):
    values = parameters.read_environment("dev") | change
    values = {key: value for key, value in values.items() if value is not None}
    (tmp_path / "dev.yaml").write_text(yaml.safe_dump(values))
    with pytest.raises(UsageError, match=message):
        load(folder=tmp_path)


def test_the_pipeline_takes_just_these_parameters():
    import inspect
    from dataclasses import fields

    from pipelines.training import training

    taken = set(inspect.signature(training.pipeline_func).parameters)
    assert taken == {field.name for field in fields(parameters.Parameters)}
