import asyncio
import hashlib
import json
import socket
import subprocess
import sys
import threading
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest
from predictor import PATIENCE, ROOT, Predictor, predictor, start, wait_until
from questions import rows_of_many, v1, v2
from tiny_models import MANY, ONE, SLOW, facts_of, make_model, slow_rows

from noria.errors import ServingError
from noria.ml.bundle import write_bundle
from noria.ml.signature import make_key
from serving.front import Front
from serving.metrics import make_metrics
from serving.options import Limits, parse_options
from serving.server import bind, listen

INFER = "/v2/models/wardrobe/infer"
BUSY = slow_rows(6000)


def ask_in_background(running: Predictor, answers: list[httpx.Response], count: int = 1) -> list[threading.Thread]:
    def ask() -> None:
        with running.connect() as client:
            answers.append(client.post(INFER, json=BUSY))

    threads = [threading.Thread(target=ask) for _ in range(count)]
    for thread in threads:
        thread.start()
    return threads


def join(threads: list[threading.Thread]) -> None:
    for thread in threads:
        thread.join(PATIENCE)


def in_flight(running: Predictor) -> float:
    """The requests in flight besides the one that asks for the metric."""
    return running.metric("noria_in_flight_requests") - 1


def test_sigterm_lets_requests_in_flight_be_answered_and_ends_with_0(slow_bundle: Path, home: Path):
    with predictor(["--bundle", slow_bundle], home) as running:
        answers: list[httpx.Response] = []
        threads = ask_in_background(running, answers, count=3)
        wait_until(lambda: in_flight(running) == 3, "three requests are in flight")
        running.terminate()
        code = running.process.wait(PATIENCE)
        join(threads)
    assert code == 0
    assert [answer.status_code for answer in answers] == [200, 200, 200]
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", running.port), timeout=1).close()


def test_a_draining_server_is_not_ready_but_still_answers(one_bundle: Path, home: Path):
    with predictor(["--bundle", one_bundle, "--drain-seconds", "600"], home) as running:
        running.terminate()
        wait_until(lambda: running.client.get("/v2/health/ready").status_code == 503, "it is not ready")
        assert running.client.get("/v2/health/ready").json() == {"ready": False}
        assert running.client.get("/v2/models/wardrobe/ready").status_code == 503
        assert running.client.get("/v2/health/live").status_code == 200
        answer = running.client.post(INFER, json=v2({"pixels": rows_of_many(1)["pixels"]}))
        assert (answer.status_code, answer.headers["connection"]) == (200, "close")
        running.process.kill()


def test_a_request_that_outlasts_the_grace_is_told_and_does_not_keep_the_process_alive(slow_bundle: Path, home: Path):
    with predictor(["--bundle", slow_bundle, "--grace-seconds", "1"], home) as running:
        body = json.dumps(slow_rows(10**9)).encode()
        with socket.create_connection(("127.0.0.1", running.port), timeout=PATIENCE) as client:
            head = f"POST {INFER} HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n\r\n"
            client.sendall(head.encode() + body)
            wait_until(lambda: in_flight(running) == 1, "the request is in flight")
            running.terminate()
            answer = client.makefile("rb").read()
            assert running.process.wait(PATIENCE) == 0
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b"the server stops" in answer
        assert "Traceback" not in running.log.read_text()


def test_health_answers_while_the_model_computes(slow_bundle: Path, home: Path):
    with predictor(["--bundle", slow_bundle], home) as running:
        answers: list[httpx.Response] = []
        threads = ask_in_background(running, answers)
        wait_until(lambda: in_flight(running) == 1, "a request is in flight")
        assert running.client.get("/v2/health/live").status_code == 200
        assert running.client.get("/v2/models/wardrobe/ready").status_code == 200, "the readiness probe asks this"
        assert answers == []
        join(threads)
    assert answers[0].status_code == 200


def test_more_waiting_requests_than_the_limit_are_turned_away(slow_bundle: Path, home: Path):
    with predictor(["--bundle", slow_bundle, "--max-waiting", "1"], home) as running:
        answers: list[httpx.Response] = []
        running_now = ask_in_background(running, answers)
        wait_until(lambda: in_flight(running) == 1, "the first request runs")
        waiting = ask_in_background(running, answers)
        wait_until(lambda: running.metric("noria_waiting_requests") == 1, "the second request waits")
        refused = running.client.post(INFER, json=slow_rows(1))
        join([*running_now, *waiting])
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
    assert list(refused.json()) == ["error"]
    assert [answer.status_code for answer in answers] == [200, 200]


def test_the_predictor_ends_when_the_process_that_started_it_is_killed(one_bundle: Path, home: Path, tmp_path: Path):
    # A parent in between starts the predictor as `noria run` does, tells its process id, and is killed.
    parent = """
import subprocess, sys
child = subprocess.Popen(
    [sys.executable, "-m", "serving", "--bundle", sys.argv[1], "--http-port", "0", "--exit-with-parent"],
    stdin=subprocess.PIPE, stdout=subprocess.PIPE,
)
sys.stdout.buffer.write(child.stdout.readline())
sys.stdout.flush()
child.wait()
"""
    environment = {"NORIA_HOME": str(home), "PATH": ""}
    command = [sys.executable, "-c", parent, str(one_bundle)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT, env=environment) as process:
        assert process.stdout is not None
        port = json.loads(process.stdout.readline())["port"]
        process.kill()
        process.wait()

    def gone() -> bool:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            return True
        return False

    wait_until(gone, "nobody listens any more")


def refuse_to_start(arguments: list[object], home: Path, log: Path) -> tuple[int, str]:
    with start(arguments, home, log) as process:
        output, _ = process.communicate(timeout=PATIENCE)
    assert output == b""
    assert "Traceback" not in log.read_text()
    return process.returncode, log.read_text()


def test_answers_are_sent_without_waiting_for_more():
    """No time is asserted: asyncio sets TCP_NODELAY on a connection only if its listener names its protocol."""
    with bind("127.0.0.1", 0) as listener:
        assert listener.proto == socket.IPPROTO_TCP


def end_early(arguments: list[object], home: Path) -> subprocess.CompletedProcess[str]:
    """Run the command, which has to end by itself, without a word on standard output or a traceback."""
    command = [sys.executable, "-m", "serving", *map(str, arguments)]
    environment = {"PATH": "", "NORIA_HOME": str(home)}
    done = subprocess.run(
        command, capture_output=True, cwd=ROOT, timeout=PATIENCE, text=True, check=False, env=environment
    )
    assert (done.stdout, "Traceback" in done.stderr) == ("", False)
    return done


def test_a_port_that_is_taken_is_told_in_the_same_words_whichever_it_is(one_bundle: Path, home: Path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for option in ("--http-port", "--grpc-port", "--admin-port"):
            done = end_early(["--bundle", one_bundle, "--http-port", 0, option, port], home)
            assert (done.returncode, done.stderr) == (
                1,
                f"serving: cannot listen on 127.0.0.1:{port} ([Errno 98] Address already in use): choose another "
                f"{option}, 0 takes any free one\n",
            )


def test_a_port_that_another_process_got_while_the_models_were_loaded_is_told_in_these_words_too():
    async def run() -> None:
        with bind("127.0.0.1", 0) as listener, socket.socket() as faster:
            faster.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            faster.bind(listener.getsockname())
            faster.listen()
            front = Front(Limits(), make_metrics(), lambda _: lambda request, exchange: None)
            async with AsyncExitStack() as running:
                await listen(running, front, listener, "--admin-port")

    with pytest.raises(
        ServingError, match=r"^cannot listen on 127.0.0.1:\d+ \(.*in use\): choose another --admin-port"
    ):
        asyncio.run(run())


@pytest.mark.parametrize("option", ["--http-port", "--grpc-port", "--admin-port"])
def test_a_port_that_no_port_can_be_is_a_wrong_command_line(
    home: Path, capsys: pytest.CaptureFixture[str], option: str
):
    for port in ("-1", "65536", "99999", "http", "1.5", "\N{ARABIC-INDIC DIGIT ONE}", ""):
        with pytest.raises(SystemExit, match=r"^2$"):
            parse_options(["--bundle", "DIR", option, port])
        assert f"argument {option}: found {port!r}: expected a port, 0 to 65535" in capsys.readouterr().err
    assert end_early(["--bundle", "DIR", option, "99999"], home).returncode == 2


@pytest.mark.parametrize("name", ["model.onnx", "bundle.json", "manifest.json", "signature.json", "profile.json"])
def test_a_bundle_with_a_changed_byte_is_not_served(publish, home: Path, tmp_path: Path, name: str):
    folder = publish(make_model(ONE), facts_of(ONE))
    data = bytearray((folder / name).read_bytes())
    data[len(data) // 2] ^= 1
    (folder / name).write_bytes(data)
    code, log = refuse_to_start(["--bundle", folder], home, tmp_path / "log")
    assert code == 1
    assert str(folder) in log


def test_an_untrusted_bundle_is_not_served(home: Path, tmp_path: Path):
    stranger = make_key(tmp_path / "keys")
    write_bundle(tmp_path / "bundle", model=make_model(ONE), facts=facts_of(ONE), profile=b"{}", signer=stranger)
    code, log = refuse_to_start(["--bundle", tmp_path / "bundle"], home, tmp_path / "log")
    assert code == 1
    assert stranger.key_id in log
    trusting = ["--bundle", tmp_path / "bundle", "--trusted-keys", tmp_path / "keys" / "trusted"]
    with predictor(trusting, home) as running:
        assert running.ready["model"] == "wardrobe"


def test_a_model_that_does_not_fit_its_schema_is_not_served(publish, home: Path, tmp_path: Path):
    folder = publish(make_model(MANY), facts_of(SLOW))
    code, log = refuse_to_start(["--bundle", folder], home, tmp_path / "log")
    assert code == 1
    assert "the bundle's schema has the features" in log


def test_a_wrong_command_line_ends_with_2(home: Path, tmp_path: Path):
    for arguments in ([], ["--bundle", "x", "--follow", "y"], ["--bundle", "x", "--threads", "0"]):
        with start(arguments, home, tmp_path / "log") as process:
            process.communicate(timeout=PATIENCE)
        assert process.returncode == 2


def test_the_predictor_imports_no_heavy_package(many_bundle: Path, home: Path, tmp_path: Path):
    log = tmp_path / "log"
    with start(["--bundle", many_bundle], home, log, python=["-X", "importtime"]) as process:
        assert process.stdout is not None
        port = json.loads(process.stdout.readline())["port"]
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE) as client:
            assert client.post(INFER, json=v2(rows_of_many(2))).status_code == 200
            assert client.post("/v1/models/wardrobe:predict", json=v1(rows_of_many(2))).status_code == 200
            assert client.get("/metrics").status_code == 200
        process.communicate(timeout=PATIENCE)
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in log.read_text().splitlines()}
    heavy = {
        "torch",
        "torchvision",
        "kfp",
        "pandas",
        "pyarrow",
        "model_signing",
        "sigstore",
        "boto3",
        "uvicorn",
        "botocore",
        "onnx",
    }
    heavy |= {"scipy", "feast", "kserve", "evidently", "pickletools", "rich", "typer", "yaml"}
    assert {"onnxruntime", "httptools", "msgspec"} <= imported
    assert imported & heavy == set()


def test_the_digest_on_the_ready_line_is_that_of_the_manifest(one: Predictor, one_bundle: Path):
    assert one.ready["digest"] == hashlib.sha256((one_bundle / "manifest.json").read_bytes()).hexdigest()
