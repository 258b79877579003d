"""The admin port: what it loads, unloads and refuses, and that the data port does nothing of it."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from predictor import PATIENCE, Predictor, predictor, start
from questions import rows_of_many, v2
from tiny_models import ONE, facts_of, make_model

from noria.ml.manifest import digest_of

PIXELS = {"pixels": rows_of_many(1)["pixels"]}


@pytest.fixture
def shelf(tmp_path: Path, one_bundle: Path, many_bundle: Path, publish) -> Path:
    """A folder that bundles may be loaded from."""
    folder = tmp_path / "shelf"
    shutil.copytree(one_bundle, folder / "first")
    shutil.copytree(publish(make_model(ONE, seed=2), facts_of(ONE)), folder / "second")
    shutil.copytree(many_bundle, folder / "many")
    return folder


@pytest.fixture
def managed(one_bundle: Path, shelf: Path, home: Path) -> Iterator[tuple[Predictor, httpx.Client]]:
    arguments = ["--bundle", one_bundle, "--name", "shoes", "--admin-port", "0", "--admin-source", f"file://{shelf}"]
    with predictor(arguments, home) as running:
        address = f"http://127.0.0.1:{running.ready['admin_port']}"
        with httpx.Client(base_url=address, timeout=PATIENCE) as admin:
            yield running, admin


def digest_in(folder: Path) -> str:
    return digest_of((folder / "manifest.json").read_bytes())


def load(admin: httpx.Client, name: str, source: object, **more: object) -> httpx.Response:
    return admin.post(f"/v2/repository/models/{name}/load", json={"source": str(source), **more})


def index(admin: httpx.Client) -> list[tuple[str, bool]]:
    return [(entry["name"], entry["default"]) for entry in admin.get("/v2/repository/index").json()]


def test_a_model_is_loaded_asked_and_unloaded(managed: tuple[Predictor, httpx.Client], shelf: Path):
    running, admin = managed
    loaded = load(admin, "other", f"file://{shelf}/many")
    assert loaded.status_code == 200
    assert loaded.json()["state"] == "READY"
    assert running.client.post("/v2/models/other/infer", json=v2(rows_of_many(2))).status_code == 200
    assert index(admin) == [("shoes", True), ("other", True)]
    assert admin.post("/v2/repository/models/other/unload").json() == {"name": "other", "unloaded": True}
    assert running.client.post("/v2/models/other/infer", json=v2(rows_of_many(2))).status_code == 404
    assert index(admin) == [("shoes", True)]


def test_a_version_stands_beside_the_default_one_or_takes_its_place(
    managed: tuple[Predictor, httpx.Client], shelf: Path
):
    running, admin = managed
    first = running.client.get("/v2/models/shoes").json()["versions"][0]
    second = load(admin, "shoes", f"file://{shelf}/second", default=False).json()["version"]
    assert running.client.get("/v2/models/shoes").json()["versions"] == [first, second]

    def answers(path: str) -> str:
        return str(running.client.post(f"/v2/models/shoes{path}/infer", json=v2(PIXELS)).json()["model_version"])

    assert answers("") == first
    assert answers(f"/versions/{second}") == second
    refused = admin.post("/v2/repository/models/shoes/unload", json={"version": first})
    assert refused.status_code == 409
    assert load(admin, "shoes", f"file://{shelf}/second").status_code == 200
    assert answers("") == second
    assert running.client.post(f"/v2/models/shoes/versions/{first}/infer", json=v2(PIXELS)).status_code == 404


def test_without_a_model_the_predictor_lives_but_is_not_ready(managed: tuple[Predictor, httpx.Client], shelf: Path):
    running, admin = managed
    assert admin.post("/v2/repository/models/shoes/unload").status_code == 200
    assert running.client.get("/v2/health/live").status_code == 200
    assert running.client.get("/v2/health/ready").status_code == 503
    assert running.client.post("/v2/models/shoes/infer", json=v2(PIXELS)).status_code == 404
    assert load(admin, "shoes", f"file://{shelf}/first").status_code == 200
    assert running.client.get("/v2/health/ready").status_code == 200


def test_only_sources_below_the_allowed_prefixes_are_loaded(
    managed: tuple[Predictor, httpx.Client], shelf: Path, one_bundle: Path
):
    _, admin = managed
    (shelf / "link").symlink_to(one_bundle)
    for source in (
        f"file://{one_bundle}",
        f"file://{shelf}/../{one_bundle.name}",
        f"file://{shelf}/link",
        f"file://{shelf}",
        f"file://{shelf}-other/first",
        f"file://{shelf}/first%2f..",
        f"file://{shelf}/./first",
        "file:///etc",
        "http://127.0.0.1/bundle",
        "s3://bucket/bundle",
        str(shelf / "first"),
        "",
    ):
        refused = load(admin, "thief", source)
        assert (source, refused.status_code) == (source, 403)
    assert index(admin) == [("shoes", True)]


def test_a_web_page_manages_nothing(managed: tuple[Predictor, httpx.Client]):
    _, admin = managed
    page = {"origin": "http://evil.example"}
    assert admin.post("/v2/repository/models/shoes/unload", headers=page).status_code == 403
    assert index(admin) == [("shoes", True)]


def test_the_index_is_asked_with_either_method(managed: tuple[Predictor, httpx.Client]):
    _, admin = managed
    assert admin.post("/v2/repository/index").json() == admin.get("/v2/repository/index").json()
    assert admin.delete("/v2/repository/index").headers["allow"] == "GET, POST"


def test_a_bundle_that_comes_back_goes_on_with_its_counts_and_no_series_is_told_twice(
    managed: tuple[Predictor, httpx.Client], shelf: Path
):
    running, admin = managed
    first = running.client.get("/v2/models/shoes").json()["versions"][0]
    for number, folder in enumerate(("second", "first", "second", "first"), start=1):
        assert running.client.post("/v2/models/shoes/infer", json=v2(PIXELS)).status_code == 200
        assert load(admin, "shoes", f"file://{shelf}/{folder}").status_code == 200
        lines = [line.rpartition(" ")[0] for line in running.client.get("/metrics").text.splitlines() if line[0] != "#"]
        assert len(lines) == len(set(lines)), number
    assert running.metric("noria_requests_total", model="shoes", version=first, protocol="v2", code="200") == 2


@pytest.mark.parametrize("name", ["UPPER", "a_b", "-a", "a-", "a" * 64, "a.b", "%2e%2e", "é"])
def test_only_names_that_every_system_takes_are_loaded(managed: tuple[Predictor, httpx.Client], shelf: Path, name: str):
    _, admin = managed
    refused = load(admin, name, f"file://{shelf}/first")
    assert refused.status_code == 400
    assert "expected 1 to 63 of a-z, 0-9 and -" in refused.json()["error"]


@pytest.mark.parametrize(
    "body", [b"", b"[]", b'{"source": 1}', b'{"source": "x", "also": 1}', b"{", b"\xff", b"[" * 5000]
)
def test_a_body_that_names_no_source_is_refused(managed: tuple[Predictor, httpx.Client], body: bytes):
    _, admin = managed
    assert admin.post("/v2/repository/models/new/load", content=body).status_code == 400


def test_a_bad_bundle_leaves_the_serving_one_in_place_and_raises_a_metric(
    managed: tuple[Predictor, httpx.Client], shelf: Path
):
    running, admin = managed
    model = shelf / "second" / "model.onnx"
    data = bytearray(model.read_bytes())
    data[50] ^= 1
    model.write_bytes(data)
    refused = load(admin, "shoes", f"file://{shelf}/second")
    assert refused.status_code == 422
    assert "model.onnx" in refused.json()["error"]
    assert running.client.post("/v2/models/shoes/infer", json=v2(PIXELS)).status_code == 200
    assert running.metric("noria_model_loads_total", outcome="refused") == 1
    assert load(admin, "shoes", f"file://{shelf}/nowhere").status_code == 422


def test_the_data_port_manages_nothing(managed: tuple[Predictor, httpx.Client], shelf: Path):
    running, _ = managed
    for path in ("index", "models/shoes/load", "models/shoes/unload"):
        answer = running.client.post(f"/v2/repository/{path}", json={"source": f"file://{shelf}/many"})
        assert answer.status_code == 404
    assert running.client.post("/v2/models/shoes/infer", json=v2(PIXELS)).status_code == 200


def test_several_models_and_versions_come_from_the_command_line(
    one_bundle: Path, many_bundle: Path, publish, home: Path
):
    second = publish(make_model(ONE, seed=3), facts_of(ONE))
    models = ["--model", f"a={one_bundle}", "--model", f"b={many_bundle}", "--model", f"a={second}"]
    with predictor(models, home) as running:
        assert running.client.get("/v1/models").json() == {"models": ["a", "b"]}
        told = [{"model": name, "digest": digest_in(folder)} for name, folder in (("a", one_bundle), ("a", second))]
        assert running.ready["models"] == [*told, {"model": "b", "digest": digest_in(many_bundle)}]
        assert {key: running.ready[key] for key in ("model", "digest")} == told[0], "the first one, as ever"
        assert len(running.client.get("/v2/models/a").json()["versions"]) == 2
        for name, rows in (("a", PIXELS), ("b", rows_of_many(2))):
            answer = running.client.post(f"/v2/models/{name}/infer", json=v2(rows))
            assert (answer.status_code, answer.json()["model_name"]) == (200, name)
            assert running.metric("noria_requests_total", model=name, protocol="v2", code="200") == 1


@pytest.mark.parametrize("source", ["http://x", "file:///", "s3://", "/folder"])
def test_an_admin_source_of_another_kind_is_refused_at_the_start(home: Path, tmp_path: Path, source: str):
    with start(["--admin-port", "0", "--admin-source", source], home, tmp_path / "log") as process:
        output, _ = process.communicate(timeout=PATIENCE)
    assert (process.returncode, output) == (2, b"")
    assert "expected file:///folder or s3://bucket/prefix" in (tmp_path / "log").read_text()


def test_the_ready_line_of_a_predictor_without_a_model_names_none(home: Path):
    with predictor(["--admin-port", "0"], home) as running:
        assert running.ready["models"] == []
        assert "model" not in running.ready


def test_the_ready_line_names_the_admin_port(managed: tuple[Predictor, httpx.Client]):
    running, _ = managed
    assert json.dumps(running.ready["admin_port"]) != json.dumps(running.port)
