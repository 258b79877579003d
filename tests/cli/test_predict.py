"""`noria predict`: what it asks, and what it says where there is nothing to ask."""

from __future__ import annotations

from pathlib import Path

import pytest
from noria_command import Noria

from noria.cli.predict import _place_of
from noria.errors import UsageError


@pytest.mark.parametrize("url", ["http://127.0.0.1:8080", "http://127.0.0.1:8080/", "http://127.0.0.1"])
def test_an_address_is_host_and_port(url: str) -> None:
    assert _place_of(url) == ("127.0.0.1", 8080 if "8080" in url else 80)


@pytest.mark.parametrize("url", ["http://h:abc", "http://h:99999", "https://h", "h:80", "http://", "http://[::1"])
def test_another_word_is_refused_as_one(url: str) -> None:
    with pytest.raises(UsageError, match="is no address of a predictor"):
        _place_of(url)


@pytest.mark.parametrize("kfp", ["", "http://127.0.0.1:1"])
def test_without_a_champion_it_names_what_makes_one_there(tmp_path: Path, kfp: str) -> None:
    noria = Noria(home=tmp_path / "home", site=tmp_path)
    done = noria.with_settings(NORIA_KFP=kfp)("predict", "--row", "0")
    assert done.code == 1
    assert "`noria run --task fashion` makes one" in done.err
    assert ("`noria submit --task fashion` on the cluster" in done.err) == bool(kfp)
