"""Parameters: text becomes types at the door, and what nobody knows is refused by name."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from noria.errors import UsageError
from noria.task import load_task
from pipelines import parameters
from pipelines.parameters import BY_DIGEST, LOOSENING, check_image

ROOT = Path(__file__).parents[2]

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
        ({"environment_limits.ece": "1"}, "no parameter 'environment_limits.ece'"),
        ({"image_by_digest": "false"}, "no parameter 'image_by_digest'"),
        ({"limits_may_be_loosened": "true"}, "no parameter 'limits_may_be_loosened'"),
    ],
)
def test_a_key_or_value_that_does_not_fit_is_named(given, message):
    with pytest.raises(UsageError, match=message):
        load(given)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"seed": "-1"}, "parameter seed is -1: expected at least 0"),
        ({"epochs": "0"}, "parameter epochs is 0"),
        ({"batch_size": "1"}, "parameter batch_size is 1"),
        ({"learning_rate": ".nan"}, "parameter learning_rate is nan"),
        ({"learning_rate": "-0.1"}, "parameter learning_rate is -0.1"),
        ({"threads": "0"}, "parameter threads is 0"),
        ({"network.depth": "3"}, "unknown network options depth: there are width"),
        ({"network.width": "0"}, "network option width is 0"),
        ({"requests": "0"}, "parameter requests is 0: expected at least 1"),
        ({"load_requests": "0"}, "parameter load_requests is 0: expected at least 1"),
        ({"draws": "0"}, "parameter draws is 0"),
        ({"holdout_days": "0"}, "parameter holdout_days is 0"),
        ({"validation_days": "-1"}, "parameter validation_days is -1"),
        ({"start": "soon"}, "start is 'soon'"),
        ({"end": "2017-08-01"}, "is empty"),
        ({"rules.min_class_share": "2"}, "rule min_class_share is 2"),
        ({"limits.confidence": "1"}, "limit confidence is 1"),
    ],
)
def test_a_value_that_no_step_could_use_is_refused_before_the_first_step(given, message):
    with pytest.raises(UsageError, match=message):
        load(given)


def test_looking_at_the_values_imports_no_torch():
    code = (
        "import sys; from noria.task import load_task; from pipelines import parameters; "
        "parameters.load('dev', load_task('fashion'), {'network.width': '8'}, {'source': '', 'code': ''}); "
        "print('torch' in sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True)
    assert found.stdout.strip() == "False"


def test_only_dev_lets_a_run_loosen_limits_and_every_environment_lets_it_tighten_them():
    open_ones = [name for name in parameters.environments() if parameters.read_environment(name)[LOOSENING] is True]
    assert open_ones == ["dev"]
    for name in parameters.environments():
        tightened = load({"limits.ece": "0.01"}, name)
        assert [(one.limit, one.looser) for one in tightened.departures()] == [("ece", False)]
        assert load(environment=name).departures() == ()
    (one,) = load({"limits.ece": "0.5"}).departures()
    assert (one.found, one.expected, one.looser) == (0.5, 0.03, True)


@pytest.mark.parametrize("environment", ["qa", "prod"])
@pytest.mark.parametrize("given", [{"limits.ece": "0.5"}, {"limits.rows": "10"}, {"limits.confidence": "0.9"}])
def test_a_loosened_limit_is_refused_where_it_matters(environment, given):
    ((key, value),) = given.items()
    with pytest.raises(
        UsageError, match=rf"limits {key.removeprefix('limits.')} {value} \(looser than .*{environment}"
    ):
        load(given, environment)


@pytest.mark.parametrize("environment", ["qa", "prod"])
def test_the_rules_of_validation_are_the_environments_own_where_it_matters(environment):
    with pytest.raises(UsageError, match=rf"^rules.min_rows: {environment} lets nobody loosen"):
        load({"rules.min_rows": "1"}, environment)
    assert load({"rules.min_rows": "1"}, "dev").rules["min_rows"] == 1


def test_an_environment_that_does_not_say_so_lets_nothing_be_loosened(tmp_path):
    values = parameters.read_environment("dev")
    del values[LOOSENING]
    (tmp_path / "stage.yaml").write_text(yaml.safe_dump(values))
    with pytest.raises(UsageError, match="stage lets nobody loosen"):
        load({"limits.ece": "0.5"}, "stage", folder=tmp_path)


IMAGE = "r.example/noria/python-steps"


def test_prod_alone_takes_the_steps_image_by_its_digest_only():
    strict = [name for name in parameters.environments() if parameters.read_environment(name)[BY_DIGEST] is True]
    assert strict == ["prod"]
    for name in parameters.environments():
        check_image(name, f"{IMAGE}@sha256:{'0' * 64}")
        check_image(name, f"{IMAGE}:0.1@sha256:{'0' * 64}")
    for name in ("dev", "qa"):
        check_image(name, "")
        check_image(name, f"{IMAGE}:0.1")


@pytest.mark.parametrize(("image", "said"), [("", "that of the compiled pipeline"), (f"{IMAGE}:0.1", f"{IMAGE}:0.1,")])
def test_an_image_by_its_tag_is_refused_where_a_digest_is_wanted(image, said):
    with pytest.raises(UsageError, match=rf"{said}.*image_by_digest is True in prod\.yaml.*@sha256:"):
        check_image("prod", image)


def test_an_environment_that_does_not_say_so_takes_a_tag_and_one_that_stutters_none(tmp_path):
    values = parameters.read_environment("prod")
    (tmp_path / "stage.yaml").write_text(yaml.safe_dump({**values, BY_DIGEST: "perhaps"}))
    with pytest.raises(UsageError, match=r"image_by_digest is perhaps in stage\.yaml"):
        check_image("stage", "", folder=tmp_path)
    del values[BY_DIGEST]
    (tmp_path / "stage.yaml").write_text(yaml.safe_dump(values))
    check_image("stage", "", folder=tmp_path)


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
    # How long the window is and when the run is, for one that is planned only when it starts.
    assert taken == {field.name for field in fields(parameters.Parameters)} | {"days", "at"}


def test_a_run_knows_what_was_known_at_the_end_of_its_window_unless_it_is_told_otherwise():
    assert load().as_of == load().end == "2017-11-10"
    assert load({"end": "2017-11-09"}).as_of == "2017-11-09"
    told = load({"end": "2017-11-09", "as_of": "2017-11-10"})
    assert (told.end, told.as_of) == ("2017-11-09", "2017-11-10")
    assert told.digest() != load({"end": "2017-11-09"}).digest()


@pytest.mark.parametrize(
    ("as_of", "message"),
    [
        ("2017-09-01", "as_of is 2017-09-01 .*expected a later moment"),
        ("soon", "as_of is 'soon': expected a date"),
    ],
)
def test_a_moment_at_which_nothing_was_known_is_refused(as_of, message):
    with pytest.raises(UsageError, match=message):
        load({"as_of": as_of})
