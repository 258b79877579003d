"""checkov finds nothing in the manifests, and what it is told to pass over carries its reason."""

from __future__ import annotations

import json
import subprocess

import pytest
from rendered import CASES, ROOT, named, objects

CHECKOV = ROOT / ".checkov" / "bin" / "checkov"


@pytest.mark.skipif(not CHECKOV.exists(), reason="no checkov: `make check-manifests` brings it, in a place of its own")
def test_checkov_finds_nothing():
    done = subprocess.run(
        [CHECKOV, "--skip-download", "--directory", "manifests", "--framework", "kubernetes", "--output", "json"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    told = json.loads(done.stdout)
    assert told["results"]["failed_checks"] == []
    assert told["summary"]["passed"] > 500
    assert done.returncode == 0


@pytest.mark.parametrize("case", CASES)
def test_every_skip_says_why(case):
    for each in objects(case):
        skips = {
            key: text for key, text in each["metadata"].get("annotations", {}).items() if key.startswith("checkov.io")
        }
        for number, (key, text) in enumerate(skips.items(), start=1):
            check, equals, reason = text.partition("=")
            assert key == f"checkov.io/skip{number}", named(each)
            assert check.startswith("CKV_K8S_")
            assert equals
            assert len(reason) > 30, named(each)


def test_prod_skips_nothing_about_its_images():
    text = json.dumps(objects("prod"))
    assert "CKV_K8S_43" not in text
    assert "CKV_K8S_15" not in text
