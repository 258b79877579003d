"""The whole run on a real S3 server: it ends well; over a bad line it ends clearly, and goes on when that is mended."""

from __future__ import annotations

from math import inf

import pytest
from faults.proxy import FaultProxy
from noria_command import Noria

pytestmark = pytest.mark.xdist_group("s3 runs")  # one server for all of them


def test_a_run_over_a_bad_line_ends_clearly_and_a_mended_line_brings_it_to_its_end(
    wine: Noria, s3_address: str, fault_proxy: FaultProxy
) -> None:
    noria = wine.with_settings(NORIA_OBJECTS=s3_address)
    bucket = s3_address.split("/")[2]
    for kind, method, part in (
        ("503", "", ""),
        ("reset", "PUT", "datasets"),
        ("truncated", "GET", "datasets"),
        ("503", "PUT", "bundles"),
        ("reset", "PUT", "releases"),
    ):
        fault_proxy.inject(kind, times=inf, method=method, part=part)  # type: ignore[arg-type]
        done = noria.run()
        what = f"{kind} of {method} {part}: {done.err}"
        assert done.code == 1, what
        assert f"s3://{bucket}/" in done.err, what
        assert fault_proxy.endpoint in done.err, what
        assert part in done.err, what
        assert "Traceback" not in done.err, what
        fault_proxy.heal()
        assert noria("releases", "verify", "--task", "wine").code == 0, what
    done = noria.run()
    assert (done.code, done.told["outcome"]) == (0, "promoted"), done.err
    assert done.told["report"].startswith(s3_address)
    assert done.told["prediction"]["bundle"] == done.told["bundle"]
    assert [entry["kind"] for entry in noria.ledger()] == ["evaluated", "promoted"]
    again = noria.run()
    assert (again.code, again.told["outcome"]) == (0, "unchanged"), again.err
    assert not list((noria.home / "objects").glob("*"))
