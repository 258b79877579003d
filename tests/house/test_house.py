"""The house rules that no linter sees."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
ROOMS = ("src", "components", "pipelines", "serving", "bench", "cluster", "helm", "feature_repo")
MODULES = sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))
COMPONENTS = sorted(path for path in (ROOT / "components").glob("*.py") if path.stem not in ("__init__", "step"))


def name_of(path):
    return str(path.relative_to(ROOT))


def statements(function):
    """The statements of a function's body, nested ones too, without its docstring and its imports."""
    body = [node for node in ast.walk(function) if isinstance(node, ast.stmt) and node is not function]
    return [node for node in body if not isinstance(node, ast.Import | ast.ImportFrom) and not _is_docstring(node)]


def _is_docstring(node):
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_module_opens_with_a_sentence_and_answers_one_question(path):
    text = path.read_text()
    assert ast.get_docstring(ast.parse(text)), f"{name_of(path)} does not say what it is"
    assert text.count("\n") <= 300, f"{name_of(path)} is longer than 300 lines: which two questions does it answer?"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_no_module_is_named_for_nothing(path):
    assert not {"utils", "util", "common", "helpers", "helper", "misc"} & {path.stem, *path.parent.parts}


@pytest.mark.parametrize("path", COMPONENTS, ids=name_of)
def test_a_component_is_a_shell(path):
    functions = [node for node in ast.parse(path.read_text()).body if isinstance(node, ast.FunctionDef)]
    assert [function.name for function in functions] == [path.stem], "one component a file, named like it"
    assert len(statements(functions[0])) <= 12
    assert [getattr(mark, "id", "") for mark in functions[0].decorator_list] == ["step"]


def test_only_the_settings_read_the_environment():
    readers = []
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and node.attr == "getenv":
                readers.append(name_of(path))
            if (
                isinstance(node, ast.Call)
                and ast.unparse(node.func) == "os.environ.get"
                and "NORIA" in ast.unparse(node)
            ):
                readers.append(name_of(path))
    assert readers == []


def test_no_code_asks_for_the_name_of_the_environment():
    for path in MODULES:
        compared = [
            side.value
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Compare)
            for side in [node.left, *node.comparators]
            if isinstance(side, ast.Constant)
        ]
        assert not {"dev", "qa", "prod"} & set(filter(lambda value: isinstance(value, str), compared)), name_of(path)


def test_the_compiled_pipeline_is_what_its_sources_compile_to(tmp_path):
    program = "import sys; from pathlib import Path; from pipelines.compiling import compile_training; "
    program += "compile_training(Path(sys.argv[1]))"
    fresh = tmp_path / "training.yaml"
    subprocess.run([sys.executable, "-W", "ignore", "-c", program, str(fresh)], cwd=ROOT, check=True)
    assert fresh.read_text() == (ROOT / "pipelines" / "compiled" / "training.yaml").read_text(), "run `make compile`"


def test_every_step_runs_our_image_and_installs_nothing():
    text = (ROOT / "pipelines" / "compiled" / "training.yaml").read_text()
    spec = next(iter(yaml.safe_load_all(text)))
    import noria

    for executor in spec["deploymentSpec"]["executors"].values():
        assert executor["container"]["image"] == f"noria/python-steps:{noria.__version__}"
    assert "pip install" not in text


def test_the_version_is_written_once():
    import tomllib

    import noria

    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"] == noria.__version__


@pytest.mark.parametrize("module", ["serving.__main__", "serving.source", "serving.app"])
def test_the_predictor_imports_nothing_heavy(module):
    program = f"import sys, json, {module}; print(json.dumps(sorted(name.partition('.')[0] for name in sys.modules)))"
    found = subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True, capture_output=True, text=True)
    heavy = {
        "torch",
        "torchvision",
        "kfp",
        "feast",
        "pandas",
        "pyarrow",
        "model_signing",
        "sigstore",
        "boto3",
        "rich",
        "typer",
    }
    assert not heavy & set(json.loads(found.stdout))


def test_help_imports_nothing_heavy():
    program = (
        "import sys, json, noria.cli.main; print(json.dumps(sorted(name.partition('.')[0] for name in sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True, capture_output=True, text=True)
    assert not {"numpy", "torch", "kfp", "msgspec", "rich", "pyarrow", "boto3"} & set(json.loads(found.stdout))


def test_each_error_that_is_raised_has_a_place_in_the_drawn_tree():
    from noria import errors

    drawn = errors.__doc__ or ""
    for name, value in vars(errors).items():
        if isinstance(value, type):
            assert name in drawn


def test_no_file_names_a_registry_or_a_finder_of_this_machine():
    listed = subprocess.run(["git", "ls-files", "requirements"], cwd=ROOT, check=True, capture_output=True, text=True)
    for name in listed.stdout.split():
        text = (ROOT / name).read_text()
        assert "://" not in text
        assert "--" not in text
