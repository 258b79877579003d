"""The documents: what they quote is what stands, and what they point to is there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "bench").glob("*.md")])


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_what_a_document_points_to_is_there(path):
    for target in re.findall(r"\]\(([^)#]+)\)", path.read_text()):
        if "://" not in target:
            assert (path.parent / target).exists(), f"{path.name} points to {target}"


def quoted_task():
    return re.search(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL).group(1)


def test_the_task_in_the_readme_is_the_one_that_the_tests_run():
    assert quoted_task() == (ROOT / "tests" / "outsider" / "noria_wine" / "__init__.py").read_text()


def test_a_task_takes_sixty_lines_of_the_usual_width():
    lines = quoted_task().splitlines()
    assert len(lines) <= 60
    assert max(map(len, lines)) <= 120


def test_every_verb_of_the_makefile_explains_itself():
    text = (ROOT / "Makefile").read_text()
    verbs = re.search(r"\.PHONY: (.*)", text).group(1).split()
    for verb in verbs:
        assert re.search(rf"^{verb}:.*## .+", text, re.MULTILINE), f"make {verb} does not say what it does"


def test_no_document_holds_a_place_that_was_left_open():
    for path in DOCUMENTS:
        assert "@@" not in path.read_text(), path.name
