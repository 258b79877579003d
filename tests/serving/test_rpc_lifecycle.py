import socket
import time
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from predictor import PATIENCE, Predictor, start, wait_until
from triton_client import (
    SERVICE,
    address,
    channel_to,
    inputs,
    raw_message,
    refusal,
    rpc_predictor,
    send,
    stream,
    triton,
)
from tritonclient.utils import InferenceServerException

ONE_ROW = {"pixels": np.array([[[1, 2], [3, 4]]], np.uint8)}
ENDLESS = 10**9


def slow(rounds: int) -> dict[str, np.ndarray]:
    return {**ONE_ROW, "rounds": np.array([rounds])}


def message(rounds: int) -> bytes:
    data: bytes = raw_message(slow(rounds)).SerializeToString()
    return data


def in_background(channel: grpc.Channel, rounds: int, count: int = 1, **settings: Any) -> list[grpc.Future]:
    ask = channel.unary_unary(SERVICE + "ModelInfer")
    return [ask.future(message(rounds), timeout=PATIENCE, **settings) for _ in range(count)]


def in_flight(running: Predictor, count: int) -> None:
    """Wait until as many calls are in flight, besides the request for the metric."""
    wait_until(lambda: running.metric("noria_in_flight_requests") - 1 == count, f"{count} calls are in flight")


def trailers(error: grpc.RpcError) -> dict[str, str]:
    return {name: value for name, value in error.trailing_metadata() if isinstance(value, str)}


def test_sigterm_lets_calls_in_flight_be_answered_and_ends_with_0(slow_bundle: Path, home: Path):
    with rpc_predictor(["--bundle", slow_bundle], home) as running, channel_to(running) as channel:
        calls = in_background(channel, 2000, 3)
        in_flight(running, 3)
        running.terminate()
        assert [call.exception(PATIENCE) for call in calls] == [None] * 3
        assert running.process.wait(PATIENCE) == 0
        with pytest.raises(OSError, match="refused"):
            socket.create_connection(("127.0.0.1", int(str(running.ready["grpc_port"]))), timeout=1).close()


def test_a_draining_server_is_not_ready_but_still_answers(one_bundle: Path, home: Path):
    drain = ["--drain-seconds", "600"]
    with rpc_predictor(["--bundle", one_bundle, *drain], home) as running, triton(running) as client:
        assert client.is_server_ready()
        running.terminate()
        wait_until(lambda: not client.is_server_ready(), "the server is not ready")
        assert client.is_server_live()
        assert not client.is_model_ready("wardrobe")
        assert client.infer("wardrobe", inputs(ONE_ROW)).as_numpy("label").shape == (1,)
        running.process.kill()


def test_a_model_that_hangs_is_not_ready(slow_bundle: Path, home: Path):
    limit = ["--request-seconds", "0.2"]
    with (
        rpc_predictor(["--bundle", slow_bundle, *limit], home) as running,
        triton(running) as client,
        channel_to(running) as channel,
    ):
        assert client.is_model_ready("wardrobe")
        (call,) = in_background(channel, ENDLESS)
        wait_until(lambda: not client.is_server_ready(), "the server is not ready")
        assert "no answer within 0.2 s" in call.exception(PATIENCE).details()
        assert client.is_server_live()
        assert not client.is_model_ready("wardrobe")
        running.process.kill()


def test_a_call_that_outlasts_the_grace_is_told_and_does_not_keep_the_process_alive(slow_bundle: Path, home: Path):
    grace = ["--grace-seconds", "1", "--request-seconds", "600"]
    with rpc_predictor(["--bundle", slow_bundle, *grace], home) as running, channel_to(running) as channel:
        (call,) = in_background(channel, ENDLESS)
        in_flight(running, 1)
        running.terminate()
        error = call.exception(PATIENCE)
        assert error.code() == grpc.StatusCode.UNAVAILABLE
        assert "the server stops" in error.details()
        assert running.process.wait(PATIENCE) == 0


def test_an_open_stream_does_not_outlast_the_server_and_loses_nothing_that_was_read(slow_bundle: Path, home: Path):
    with (
        rpc_predictor(["--bundle", slow_bundle], home) as running,
        triton(running) as client,
        stream(client) as answers,
    ):
        for place in range(3):
            client.async_stream_infer("wardrobe", inputs(slow(1500)), request_id=str(place))
        in_flight(running, 3)
        running.terminate()
        found = [answers.get(timeout=PATIENCE) for _ in range(4)]
        assert [result.get_response().id for result, _ in found[:3]] == ["0", "1", "2"]
        assert "the server stops" in str(found[3][1])
        assert running.process.wait(PATIENCE) == 0


def test_a_call_that_takes_longer_than_the_limit_is_unavailable_and_says_when_to_come_back(
    slow_bundle: Path, home: Path
):
    limit = ["--request-seconds", "0.3"]
    with rpc_predictor(["--bundle", slow_bundle, *limit], home) as running, channel_to(running) as channel:
        started = time.monotonic()
        with pytest.raises(grpc.RpcError, match=r"no answer within 0.3 s") as caught:
            send(channel, message(ENDLESS))
        assert time.monotonic() - started < 3
        assert caught.value.code() == grpc.StatusCode.UNAVAILABLE
        assert trailers(caught.value)["retry-after"] == "1"
        assert trailers(caught.value)["grpc-retry-pushback-ms"] == "1000"
        assert running.metric("noria_requests_total", protocol="grpc", code="503") == 1
        with triton(running) as client:
            assert client.is_server_live()
        running.process.kill()


def test_a_clients_deadline_ends_its_call_and_is_counted(slow_bundle: Path, home: Path):
    with rpc_predictor(["--bundle", slow_bundle], home) as running, triton(running) as client:
        with pytest.raises(InferenceServerException) as caught:
            client.infer("wardrobe", inputs(slow(ENDLESS)), client_timeout=0.2)
        assert caught.value.status() == "StatusCode.DEADLINE_EXCEEDED"
        labels = {"model": "wardrobe", "protocol": "grpc", "code": "499"}
        wait_until(lambda: '"499"' in running.client.get("/metrics").text, "the call is counted")
        assert running.metric("noria_requests_total", **labels) == 1
        in_flight(running, 0)
        running.process.kill()


def test_a_call_that_its_client_cancels_is_dropped(slow_bundle: Path, home: Path):
    with rpc_predictor(["--bundle", slow_bundle], home) as running, channel_to(running) as channel:
        calls = in_background(channel, 2000, 5)
        in_flight(running, 5)
        for call in calls:
            call.cancel()
        in_flight(running, 0)
        assert refusal(channel, message(1))[0] == "OK"
        assert "Traceback" not in running.log.read_text()


def test_a_call_whose_client_would_not_wait_for_its_turn_is_turned_away_at_once(slow_bundle: Path, home: Path):
    with rpc_predictor(["--bundle", slow_bundle], home) as running, channel_to(running) as channel:
        send(channel, message(1500))  # from now on the server knows how long a row takes
        first = in_background(channel, 1500, 2)
        in_flight(running, 2)
        ask = channel.unary_unary(SERVICE + "ModelInfer")
        with pytest.raises(grpc.RpcError, match="of work wait for the model") as caught:
            ask(message(1), timeout=0.02)
        assert caught.value.code() == grpc.StatusCode.UNAVAILABLE
        assert [call.exception(PATIENCE) for call in first] == [None] * 2


def test_more_waiting_calls_than_the_limit_are_turned_away_with_the_time_to_come_back(slow_bundle: Path, home: Path):
    limit = ["--max-waiting", "2"]
    with rpc_predictor(["--bundle", slow_bundle, *limit], home) as running, channel_to(running) as channel:
        calls = in_background(channel, 1500, 12)
        errors = [call.exception(PATIENCE) for call in calls]
        refused = [error for error in errors if error is not None]
        assert 0 < len(refused) < 12
        assert {error.code() for error in refused} == {grpc.StatusCode.UNAVAILABLE}
        assert all(int(trailers(error)["retry-after"]) >= 1 for error in refused)


def test_more_open_calls_than_the_limit_are_turned_away(slow_bundle: Path, home: Path):
    limit = ["--max-connections", "3"]
    alone = [("grpc.use_local_subchannel_pool", 1)]  # channels to one address share their connection otherwise
    with (
        rpc_predictor(["--bundle", slow_bundle, *limit], home) as running,
        channel_to(running) as first,
        grpc.insecure_channel(address(running), alone) as second,
    ):
        calls = in_background(first, 2000, 3)
        in_flight(running, 3)
        code, text = refusal(second, message(1))
        assert (code, "3 calls are open" in text) == ("UNAVAILABLE", True)
        assert [call.exception(PATIENCE) for call in calls] == [None] * 3


def test_http_health_answers_while_grpc_is_busy(slow_bundle: Path, home: Path):
    with rpc_predictor(["--bundle", slow_bundle], home) as running, channel_to(running) as channel:
        calls = in_background(channel, 2000, 3)
        in_flight(running, 3)
        started = time.monotonic()
        assert running.client.get("/v2/health/live").status_code == 200
        assert time.monotonic() - started < 1
        assert not any(call.done() for call in calls[1:])
        assert [call.exception(PATIENCE) for call in calls] == [None] * 3


def test_a_port_that_is_taken_is_named(one_bundle: Path, home: Path, tmp_path: Path):
    with rpc_predictor(["--bundle", one_bundle], home) as running:
        taken = str(running.ready["grpc_port"])
        process = start(["--bundle", one_bundle, "--grpc-port", taken], home, tmp_path / "log")
        process.communicate(timeout=PATIENCE)
        assert process.returncode == 1
    text = (tmp_path / "log").read_text()
    assert f"cannot listen on 127.0.0.1:{taken}" in text
    assert "--grpc-port" in text
    assert "Traceback" not in text


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
def test_any_form_of_an_address_will_do_and_starting_says_nothing(one_bundle: Path, home: Path, host: str):
    with rpc_predictor(["--bundle", one_bundle, "--host", host], home) as running:
        place = f"[{host}]" if ":" in host else host
        with grpc.insecure_channel(f"{place}:{running.ready['grpc_port']}") as channel:
            assert refusal(channel, raw_message(ONE_ROW).SerializeToString())[0] == "OK"
        assert running.log.read_text() == ""
