"""The guide's examples, as they stand in it, against a real predictor of the task's own schema."""

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from airline import make_airline_model
from predictor import KSERVE, PATIENCE, ROOT, Predictor, predictor
from prometheus_client.parser import text_string_to_metric_families as parse
from shop import Shop
from tiny_models import facts_for, make_model

from noria.ml.bundle import write_bundle
from noria.ml.manifest import digest_of
from noria.ml.rule import fit_nearest_mean_rule
from noria.stores.online.rows import OnlineRow, Packer, row_key
from noria.stores.online.store import open_online
from noria.tasks.fashion import Fashion
from noria.tasks.flights.task import Flights
from serving.options import parse_options

GUIDES = ROOT / "docs" / "guides"
WHOLE = (GUIDES / "serving.md").read_text()
FEATURES = WHOLE[WHOLE.index("## Features from the store") : WHOLE.index("## Several models")]
ADMIN = WHOLE[WHOLE.index("## Several models") : WHOLE.index("## A new champion")]
WATCHING = WHOLE[WHOLE.index("## Watching") :]
GUIDE = WHOLE[: WHOLE.index("## Features from the store")]
ALERTS = {"NoriaFallbackAnswers", "NoriaChampionRefused", "NoriaOnlineStoreDown", "NoriaServerErrors"}
# What is another one in each answer: an id, a digest, a number, the class that a model decides for.
CHANGING = re.compile(
    r"(?P<more>…)|(?P<id>[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})|(?P<digest>\b[0-9a-f]{12,64}\b)"
    r'|(?P<number>(?<![\w-])-?\d+(?:\.\d+)?(?:e-?\d+)?\b)|(?P<label>(?<="label":)"[^"]+")'
)
PATTERNS = {
    "more": r".*",
    "id": r"[0-9a-f-]{36}",
    "digest": r"[0-9a-f]+",
    "number": r"[-+.\deIN]+",
    "label": r'"[^"]+"',
}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project in whose own home `fashion` has a champion: a tiny model with a rule, as the task declares one."""
    folder, task = tmp_path_factory.mktemp("project"), Fashion()
    (folder / "pyproject.toml").write_text("[tool.noria]\n")
    shop = Shop(folder / ".noria", task.name)
    random, classes = np.random.default_rng(1), len(task.classes)
    rows, labels = {"image": random.integers(0, 256, (60, 28, 28), np.uint8)}, random.integers(0, classes, 60)
    write_bundle(
        folder / "new",
        model=make_model(task.schema.features, classes=classes),
        facts=replace(facts_for(task), fallback=True),
        profile=b"{}",
        signer=shop.signer,
        rule=fit_nearest_mean_rule(task.schema.features, rows, labels, classes).write_graph(task.schema),
    )
    digest = digest_of((folder / "new" / "manifest.json").read_bytes())
    shop.store.put_folder(f"bundles/{digest}", folder / "new")
    shop.promote(digest)
    return folder


@pytest.fixture(scope="module")
def fashion(project: Path) -> Iterator[Predictor]:
    with predictor(["--follow", "fashion", "--grpc-port", "0"], project / ".noria") as running:
        yield running


def blocks(language: str, text: str = GUIDE) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def aim(text: str, running: Predictor, address: str = "localhost:8080") -> str:
    text = text.replace(address, f"127.0.0.1:{running.port}")
    return text.replace("localhost:9000", f"127.0.0.1:{running.ready.get('grpc_port')}")


def as_told(text: str) -> re.Pattern[str]:
    """What an answer has to be that stands in the guide: the same, but for what changes and what was cut short."""
    pattern, at = "", 0
    for found in CHANGING.finditer(text):
        pattern += re.escape(text[at : found.start()]) + PATTERNS[str(found.lastgroup)]
        at = found.end()
    return re.compile(pattern + re.escape(text[at:]))


def type_in(script: str, folder: Path = ROOT) -> str:
    """What the shell prints; `noria` is at hand there, and takes the folder's own settings."""
    settings = {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin"}
    place = {"cwd": folder, "env": settings}
    command = ["bash", "-ceu", script]
    done = subprocess.run(command, capture_output=True, timeout=PATIENCE, text=True, check=False, **place)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def shown(text: str) -> list[tuple[str, str]]:
    """The commands for a shell that have answers, each with these."""
    return re.findall(r"```sh\n((?:(?!```).)*?)```\n\n```json\n(.*?)```", text, re.DOTALL)


def test_every_example_for_a_shell_shows_its_answer():
    assert (len(blocks("sh")), len(shown(GUIDE))) == (3, 3)
    assert len(blocks("sh", WHOLE)) == len(shown(WHOLE)) + 1, "all but the metrics"


@pytest.mark.parametrize("number", range(3))
def test_the_examples_for_a_shell_are_answered_as_the_guide_shows(fashion: Predictor, number: int):
    script, answers = shown(GUIDE)[number]
    found = type_in(aim(script, fashion))
    assert as_told(answers).fullmatch(found), found
    assert json.loads(found.splitlines()[-1]).keys() >= {"id"} or number == 0


def test_an_answer_that_is_not_the_one_in_the_guide_is_noticed():
    told = as_told(
        '{"id":"fe3ad30f-8fbe-40d4-a8b0-8887e025c7e2","label":"Sandal","p":[0.5,…],"version":"0883a5d08850"}'
    )
    good = '{"id":"00000000-8fbe-40d4-a8b0-8887e025c7e2","label":"Bag","p":[1e-07,0.2],"version":"abcdefabcdef"}'
    assert told.fullmatch(good)
    for wrong in (good.replace("label", "class"), good.replace("[", "").replace("]", ""), good + "\n", good[:-1]):
        assert not told.fullmatch(wrong), wrong


PYTHON = blocks("python")


def test_the_guide_has_examples_in_python_for_each_client():
    libraries = ["urllib.request", "tritonclient.http", "tritonclient.grpc", "kserve"]
    assert [next(name for name in libraries if name in example) for example in PYTHON] == libraries


@pytest.mark.parametrize("number", range(3))
def test_the_examples_in_python_print_a_class_and_its_probability(
    fashion: Predictor, capsys: pytest.CaptureFixture[str], number: int
):
    exec(aim(PYTHON[number], fashion), {})
    told = capsys.readouterr().out
    label, _, probability = told.strip().rpartition(" ")
    assert label in Fashion.classes
    assert re.fullmatch(r"0\.\d{3}", probability), told


def test_the_example_with_kserves_clients_is_answered_by_both(fashion: Predictor):
    if not KSERVE.exists():
        pytest.skip("no .bench/kserve with kserve in it: `make bench-peers` makes one")
    program = [KSERVE, "-c", aim(PYTHON[3], fashion)]
    done = subprocess.run(program, capture_output=True, timeout=4 * PATIENCE, check=False, text=True)
    assert re.fullmatch(r"(class \d 0\.\d{3}\n)\1", done.stdout), done.stderr


@pytest.mark.parametrize("line", re.findall(r"^python -m serving .*$", WHOLE, re.MULTILINE))
def test_each_command_line_of_the_predictor_is_one_that_it_takes(line: str):
    parse_options(shlex.split(line, comments=True)[3:])


def test_what_noria_serve_hands_on_is_what_the_predictor_takes():
    lines = re.findall(r"^noria serve .* (-- --.*)$", WHOLE, re.MULTILINE)
    words = [shlex.split(line, comments=True)[1:] for line in lines]
    assert [parse_options(["--follow", "fashion", *each]).grpc_port for each in words] == [9000]


def test_the_admin_example_works_in_a_projects_folder_as_it_stands(project: Path):
    (line,) = re.findall(r"^python -m serving (.*)$", ADMIN, re.MULTILINE)
    arguments = shlex.split(line.replace("$PWD", str(project)).replace("--admin-port 8081", "--admin-port 0"))
    ((script, answers),) = shown(ADMIN)
    with predictor(arguments, project / ".noria") as running:
        script = aim(script, running, "localhost:8082")
        here = f"127.0.0.1:{running.ready['admin_port']}"
        found = type_in(script.replace("localhost:8081", here), project)
        assert as_told(answers).fullmatch(found), found
        load = next(each for each in script.splitlines() if each.endswith("/load"))
        unload = re.search(r"`(curl -X POST .*?/unload)`", ADMIN).group(1)
        again = "\n".join([*script.splitlines()[:2], load, load, unload]).replace("localhost:8081", here)
        assert type_in(again.replace("curl -X", "curl -s -X"), project).endswith('{"name":"fashion","unloaded":true}')
        assert running.client.get("/v1/models").json() == {"models": []}


def test_the_metrics_in_the_guide_are_those_of_a_predictor_that_was_asked(fashion: Predictor):
    (example,), (script,) = blocks("text", WATCHING), blocks("sh", WATCHING)
    type_in(aim(shown(GUIDE)[2][0], fashion))
    page = type_in(aim(script, fashion)).splitlines()
    for line in example.splitlines():
        assert any(as_told(line).fullmatch(each) for each in page), line


def test_the_alert_rules_name_metrics_and_labels_that_there_are(fashion: Predictor, flights: Predictor):
    type_in(aim(shown(GUIDE)[2][0], fashion))
    pages = [running.client.get("/metrics").text for running in (fashion, flights)]
    samples = [sample for page in pages for family in parse(page) for sample in family.samples]
    labels: dict[str, set[str]] = {"instance": set()}
    for sample in samples:
        labels.setdefault(sample.name, {"instance"}).update(sample.labels)
    (text,) = blocks("yaml", WATCHING)
    (group,) = yaml.safe_load(text)["groups"]
    assert {rule["alert"] for rule in group["rules"]} == ALERTS
    for rule in group["rules"]:
        names = set(re.findall(r"\bnoria_\w+", rule["expr"]))
        assert names
        assert names <= labels.keys(), rule
        known = set.union(*(labels[name] for name in names))
        wanted = re.findall(r"by \((.*?)\)|\{(.*?)\}", rule["expr"])
        used = {re.match(r"\w+", word.strip()).group() for pair in wanted for word in ",".join(pair).split(",") if word}
        used |= set(re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"]))
        assert used <= known, rule
        assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}


FLIGHTS = (
    {"carrier": "UA", "origin": "EWR", "dest": "IAH", "tailnum": "N14228"},
    {"carrier": "B6", "origin": "JFK", "dest": "BOS", "tailnum": "N505JB"},
)


@pytest.fixture(scope="module")
def flights(publish, home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Predictor]:
    task, path = Flights(), str(tmp_path_factory.mktemp("online") / "online.db")
    facts = replace(facts_for(task), service=task.service)
    event = int(datetime(2013, 4, 1, 9, tzinfo=UTC).timestamp() * 1e6)
    store = open_online(path)
    for view in task.service.views:
        values = tuple("" if field.type == "string" else None for field in view.fields)
        row = Packer(view).pack(OnlineRow(event=event, created=event, values=values))
        store.write([(row_key(view.name, [flight[key] for key in view.keys]), row) for flight in FLIGHTS])
    store.close()
    bundle = publish(make_airline_model(task.schema.features, classes=2), facts)
    with predictor(["--bundle", bundle, "--online", path], home) as running:
        yield running


def test_the_guide_has_examples_of_features_from_the_store():
    assert (len(blocks("sh", FEATURES)), len(blocks("python", FEATURES))) == (2, 1)


def test_the_examples_of_features_from_the_store_are_answered(flights: Predictor, capsys: pytest.CaptureFixture[str]):
    for script, answers in shown(FEATURES):
        found = type_in(aim(script, flights))
        assert as_told(answers).fullmatch(found), found
    fresh, late = (json.loads(type_in(aim(script, flights))) for script, _ in shown(FEATURES))
    assert "features" not in fresh
    assert late["feature_views"] == {view.name: {"expired": 1} for view in Flights().service.views}
    before = json.loads(type_in(aim(shown(FEATURES)[0][0], flights).replace("T09:15", "T08:15")))
    assert before["feature_views"] == {view.name: {"newer": 1} for view in Flights().service.views}
    names: dict[str, Any] = {}
    exec(aim(blocks("python", FEATURES)[0], flights), names)
    assert names["answer"]["outputs"][0]["shape"] == [2, 2]
    assert names["views"] == {"aircraft": {"fresh": 1, "unknown": 1}}
    told = re.search(r"print\(.*\)  # \[.*\] (\{.*\})", FEATURES).group(1)
    assert re.fullmatch(rf"\['(on time|late)', '(on time|late)'\] {re.escape(told)}\n", capsys.readouterr().out)


def test_the_guide_names_every_option_and_every_figure_of_the_store(flights: Predictor):
    program = [sys.executable, "-m", "serving", "--help"]
    shown = subprocess.run(program, cwd=ROOT, capture_output=True, check=True, text=True).stdout
    options = set(re.findall(r"--(?:online|features)[a-z-]*", shown))
    assert options == set(re.findall(r"--(?:online|features)[a-z-]*", FEATURES))
    metrics = flights.client.get("/metrics").text
    for name in re.findall(r"`(noria_[a-z_]+)", FEATURES):
        assert f"\n{name}" in metrics, name


def test_the_notebook_runs_from_its_first_cell_to_its_last(fashion: Predictor):
    notebook = json.loads((GUIDES / "serving.ipynb").read_text())
    names: dict[str, object] = {}
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            exec(aim("".join(cell["source"]), fashion), names)
    assert names["probabilities"].shape == (8, 10)
    np.testing.assert_allclose(names["probabilities"].sum(axis=1), 1, atol=1e-5)


def test_the_refusal_in_the_guide_is_the_one_that_is_given(fashion: Predictor):
    command, answer = re.search(r"```\n\$ (curl .*)\n(\{.*\}\n)```", GUIDE).groups()
    assert type_in(aim(command, fashion)) == answer
