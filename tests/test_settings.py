"""Settings: the one reader of environment variables."""

from pathlib import Path

import pytest

from noria.errors import UsageError
from noria.settings import AccessSettings, Settings


def read(folder, **environment):
    return Settings.from_environment(environment, folder)


def test_everything_lies_under_one_folder_unless_said_otherwise(tmp_path):
    found = read(tmp_path)
    assert found.home == tmp_path / ".noria"
    assert found.objects == str(tmp_path / ".noria" / "objects")
    assert found.signing_key.is_relative_to(found.home)


def test_objects_may_lie_in_s3(tmp_path):
    assert read(tmp_path, NORIA_OBJECTS="s3://bucket/models").objects == "s3://bucket/models"


def test_a_store_in_s3_is_reached_as_boto3_would_unless_said_otherwise(tmp_path):
    assert read(tmp_path).access == AccessSettings(endpoint="", region="", keys=None)
    said = {"NORIA_OBJECTS_ENDPOINT": "https://s3.example.com/", "NORIA_OBJECTS_REGION": "mars"}
    found = read(tmp_path, **said, NORIA_OBJECTS_KEYS="keys").access
    assert found == AccessSettings(endpoint="https://s3.example.com", region="mars", keys=tmp_path / "keys")


@pytest.mark.parametrize("said", ["s3.example.com", "http://user:hidden@s3", "http://a b"])
def test_an_address_of_s3_that_is_none_is_refused_without_showing_a_password(tmp_path, said):
    with pytest.raises(UsageError, match=r"NORIA_OBJECTS_ENDPOINT is .*expected http://host:port") as caught:
        read(tmp_path, NORIA_OBJECTS_ENDPOINT=said)
    assert "hidden" not in str(caught.value)


def test_another_scheme_is_refused(tmp_path):
    with pytest.raises(UsageError, match="expected a folder or s3://"):
        read(tmp_path, NORIA_OBJECTS="gs://bucket")


def test_a_misspelt_setting_is_named(tmp_path):
    with pytest.raises(UsageError, match="unknown settings NORIA_HOM: there are"):
        read(tmp_path, NORIA_HOM="x")


def test_a_source_is_set_by_task(tmp_path):
    found = read(tmp_path, NORIA_SOURCE_FASHION="/data/fashion", NORIA_SOURCE_MY_TASK="/data/mine")
    assert found.sources == {"fashion": Path("/data/fashion"), "my-task": Path("/data/mine")}
    assert found.source_variable("my-task") == "NORIA_SOURCE_MY_TASK"


def test_online_values_and_the_registry_lie_under_the_home_unless_said_otherwise(tmp_path):
    found = read(tmp_path)
    assert found.online == str(tmp_path / ".noria" / "features" / "online.db")
    assert found.registry == str(tmp_path / ".noria" / "features" / "registry.db")
    assert found.online_password_file is None


@pytest.mark.parametrize(
    ("said", "expected"),
    [("redis://host:1/2", "redis://host:1/2"), ("rediss://host", "rediss://host"), ("sqlite:a.db", "{}/a.db"),
     ("a.db", "{}/a.db"), ("/x/a.db", "/x/a.db")],
)  # fmt: skip
def test_online_values_may_lie_in_a_file_or_a_redis(tmp_path, said, expected):
    assert read(tmp_path, NORIA_ONLINE=said).online == expected.format(tmp_path)


def test_another_online_store_is_refused_without_showing_a_password(tmp_path):
    with pytest.raises(UsageError, match="NORIA_ONLINE is 'mysql://…@host/x': expected a file, redis://") as caught:
        read(tmp_path, NORIA_ONLINE="mysql://user:hidden@host/x")
    assert "hidden" not in str(caught.value)


def test_a_password_file_is_found_from_the_working_folder(tmp_path):
    assert read(tmp_path, NORIA_ONLINE_PASSWORD_FILE="secret").online_password_file == tmp_path / "secret"


def test_the_registry_may_be_a_database(tmp_path):
    assert read(tmp_path, NORIA_REGISTRY="sqlite:////x/registry").registry == "sqlite:////x/registry"


def test_champions_are_served_by_the_ledger_unless_said_otherwise(tmp_path):
    found = read(tmp_path).serving
    assert (found.way, found.namespace, found.overlay, found.seconds) == ("ledger", "noria-serving", "", 600.0)


def test_where_an_inference_service_serves_is_set(tmp_path):
    found = read(
        tmp_path,
        NORIA_SERVING="kserve",
        NORIA_SERVING_NAMESPACE="models",
        NORIA_SERVING_OBJECT='{"spec": {}}',
        NORIA_SERVING_SECONDS="90",
    ).serving
    assert (found.way, found.namespace, found.overlay, found.seconds) == ("kserve", "models", '{"spec": {}}', 90.0)


@pytest.mark.parametrize(
    ("name", "value"),
    [("", "seldon"), ("_NAMESPACE", "My Models"), ("_SECONDS", "soon"), ("_SECONDS", "0"), ("_SECONDS", "-1")],
)
def test_a_way_of_serving_that_is_none_is_refused(tmp_path, name, value):
    with pytest.raises(UsageError, match=f"NORIA_SERVING{name} is"):
        read(tmp_path, **{f"NORIA_SERVING{name}": value})


def test_what_kubernetes_puts_into_every_container_of_a_namespace_is_no_setting(tmp_path):
    service = {
        "NORIA_REDIS_SERVICE_HOST": "10.0.0.1",
        "NORIA_REDIS_SERVICE_PORT": "6379",
        "NORIA_REDIS_SERVICE_PORT_REDIS": "6379",
        "NORIA_REDIS_PORT": "tcp://10.0.0.1:6379",
        "NORIA_REDIS_PORT_6379_TCP": "tcp://10.0.0.1:6379",
        "NORIA_REDIS_PORT_6379_TCP_ADDR": "10.0.0.1",
    }
    assert read(tmp_path, **service).home == tmp_path / ".noria"


def test_kubeflow_pipelines_is_where_the_settings_say(tmp_path):
    found = Settings.from_environment({}, tmp_path).kfp
    assert (found.host, found.namespace, found.token_file, found.service_account) == ("", "kubeflow", None, "")
    given = {"NORIA_KFP": "https://kfp.example/pipeline/", "NORIA_KFP_NAMESPACE": "team-a"}
    given |= {"NORIA_KFP_TOKEN_FILE": "token", "NORIA_KFP_SERVICE_ACCOUNT": "noria-steps"}
    given |= {"NORIA_KFP_CA_FILE": "/etc/ca.pem"}
    found = Settings.from_environment(given, tmp_path).kfp
    assert (found.host, found.namespace) == ("https://kfp.example/pipeline", "team-a")
    assert (found.token_file, found.service_account) == (tmp_path / "token", "noria-steps")
    assert found.ca_file == Path("/etc/ca.pem")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("NORIA_KFP", "localhost:8080"),
        ("NORIA_KFP", "ftp://kfp"),
        ("NORIA_KFP", "http://"),
        ("NORIA_KFP", "http://me:pass-word@kfp"),
        ("NORIA_KFP_NAMESPACE", "Team A"),
    ],
)
def test_an_address_that_leads_nowhere_is_refused_without_showing_a_password(name, value):
    with pytest.raises(UsageError, match=f"{name} is '") as caught:
        Settings.from_environment({name: value})
    assert "pass-word" not in str(caught.value)
