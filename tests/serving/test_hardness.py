"""What the predictor does not do, whatever comes: read pickles, open files for a client, or grow."""

import json
import resource
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from predictor import PATIENCE, ROOT, Predictor
from questions import rows_of_many, v2

# Started as the predictor is, with a hook that writes down what Python reports: unpickling, programs, files, code.
WATCHED = """
import os, runpy, sys
report = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
def hook(event, arguments):
    if event in {"pickle.find_class", "subprocess.Popen", "os.system", "os.exec", "compile", "exec", "open"}:
        os.write(report, f"{event} {arguments[0] if event == 'open' else ''}\\n".encode())
sys.addaudithook(hook)
sys.argv = ["serving", *sys.argv[2:]]
runpy.run_module("serving", run_name="__main__")
"""
PICKLED = b"cposix\nsystem\n(S'id'\ntR."  # would run `id`


def test_no_pickle_is_read_and_no_request_opens_a_file_or_runs_code(many_bundle: Path, home: Path, tmp_path: Path):
    report = tmp_path / "report"
    command = [sys.executable, "-c", WATCHED, report, "--bundle", many_bundle, "--http-port", "0", "--exit-with-parent"]
    environment = {"NORIA_HOME": str(home), "PATH": ""}
    with subprocess.Popen(
        [*map(str, command)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT, env=environment
    ) as process:
        assert process.stdout is not None
        port = json.loads(process.stdout.readline())["port"]
        loading = report.read_text().splitlines()
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE) as client:
            infer = "/v2/models/wardrobe/infer"
            good = [client.post(infer, json=v2(rows_of_many(2))).status_code for _ in range(2)]
            client.get("/metrics")
            answering = report.read_text().splitlines()
            bad = [client.post(path, content=PICKLED).status_code for path in (infer, "/v1/models/wardrobe:predict")]
            bad.append(client.get("/v2/models/..%2f..%2fetc%2fpasswd").status_code)
        after = report.read_text().splitlines()
        process.communicate(timeout=PATIENCE)
    assert (good, bad) == ([200, 200], [400, 400, 404])
    assert any(line.endswith("model.onnx") for line in loading), "the hook sees nothing"
    assert not [line for line in after if line.startswith(("pickle", "subprocess", "os."))]
    # /metrics reads /proc; a refusal may import a module of Python's own the first time, and nothing else.
    opened = [line for line in after[len(answering) :] if not line.rstrip().endswith((".py", ".pyc"))]
    assert [line for line in opened if line.startswith("open") and "/proc/" not in line] == []


def resident_bytes(running: Predictor) -> float:
    return running.metric("process_resident_memory_bytes")


@pytest.mark.parametrize("body", [b"{", b"[" * 100_000, b'{"inputs": [' + b'{"a": 1},' * 10_000, b"\xff" * 15_000])
def test_refused_requests_leave_no_memory_behind(many: Predictor, body: bytes):
    def ask(times: int) -> None:
        for _ in range(times):
            assert 400 <= many.client.post("/v2/models/wardrobe/infer", content=body).status_code < 500

    ask(200)
    before = resident_bytes(many)
    ask(600)
    assert resident_bytes(many) - before < 4 * resource.getpagesize() * 1024
