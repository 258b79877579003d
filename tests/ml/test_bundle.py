"""A bundle loads as it was written, or not at all."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import model_signing
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from noria.errors import BundleError
from noria.ml.bundle import FILES, RULE_FILE, Bundle, Calibration, Facts, open_bundle, write_bundle
from noria.ml.manifest import digest_of, encode_manifest
from noria.ml.signature import Signer, TrustedKeys, make_key
from noria.schema import Column, Schema

MODEL = bytes(range(256)) * 64
PROFILE = b'{"columns":{}}'
SCHEMA = Schema(
    columns=(
        Column(name="id", type="string", role="id"),
        Column(name="time", type="timestamp", role="time"),
        Column(name="image", type="uint8", role="feature", shape=(28, 28), minimum=0.0, maximum=255.0),
        Column(name="label", type="int64", role="label"),
    )
)
FACTS = Facts(
    task="fashion",
    schema=SCHEMA,
    classes=("shirt", "söck"),
    costs=((0.0, 1.0), (2.5, 0.0)),
    temperature=1.25,
    calibration=Calibration(ece_before=0.05, ece_after=0.01),
    training_data="0" * 64,
    training_rows=60_000,
    training_start=datetime(2026, 1, 1, tzinfo=UTC),
    training_end=datetime(2026, 2, 1, 12, 30, 0, 5, tzinfo=UTC),
    parameters={"epochs": 12, "learning_rate": 1.0, "network": {"width": 32, "deep": True, "kind": "conv"}},
    metrics={"accuracy": 0.93},
    parity=1e-6,
    code="0.1.0",
)


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    return tmp_path / "keys"


@pytest.fixture
def signer(keys: Path) -> Signer:
    return make_key(keys)


@pytest.fixture
def trusted(keys: Path, signer: Signer) -> TrustedKeys:
    return TrustedKeys(keys / "trusted")


@pytest.fixture
def folder(tmp_path: Path, signer: Signer) -> Path:
    folder = tmp_path / "bundles" / "one"
    write_bundle(folder, model=MODEL, facts=FACTS, profile=PROFILE, signer=signer)
    return folder


def content(bundle: Bundle) -> tuple[object, ...]:
    return bundle.digest, bundle.facts, bundle.model, bundle.profile


def test_a_bundle_loads_as_it_was_written(folder: Path, trusted: TrustedKeys, signer: Signer) -> None:
    bundle = open_bundle(folder, trusted=trusted)
    assert bundle.digest == digest_of((folder / "manifest.json").read_bytes())
    assert content(bundle) == (bundle.digest, FACTS, MODEL, PROFILE)
    assert bundle.key_id == signer.key_id
    assert {path.name for path in folder.iterdir()} == FILES
    assert [path.name for path in folder.parent.iterdir()] == ["one"]


def test_equal_training_gives_an_equal_digest_whoever_signs(folder: Path, trusted: TrustedKeys, tmp_path: Path) -> None:
    other = make_key(tmp_path / "other")
    loose = replace(FACTS, costs=((0, 1), (2.5, 0)), metrics=dict(FACTS.metrics))
    again = write_bundle(tmp_path / "again", model=MODEL, facts=loose, profile=PROFILE, signer=other)
    assert again == open_bundle(folder, trusted=trusted).digest
    changed = replace(FACTS, code="0.1.1")
    assert write_bundle(tmp_path / "c", model=MODEL, facts=changed, profile=PROFILE, signer=other) != again


def test_model_signing_itself_accepts_a_bundle(folder: Path, keys: Path, signer: Signer, trusted: TrustedKeys) -> None:
    public_key = keys / "trusted" / f"{signer.key_id}.pem"
    verifying = model_signing.verifying.Config().use_elliptic_key_verifier(public_key=public_key)
    verifying.verify(folder, folder / "signature.json")


def test_writing_again_changes_nothing_and_never_overwrites(folder: Path, signer: Signer, trusted: TrustedKeys) -> None:
    before = {path: path.read_bytes() for path in folder.iterdir()}
    write_bundle(folder, model=MODEL, facts=FACTS, profile=PROFILE, signer=signer)
    with pytest.raises(BundleError, match="already holds something else"):
        write_bundle(folder, model=b"other", facts=FACTS, profile=PROFILE, signer=signer)
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


def test_an_empty_folder_that_is_there_is_filled(tmp_path: Path, signer: Signer, trusted: TrustedKeys) -> None:
    (tmp_path / "made").mkdir()
    digest = write_bundle(tmp_path / "made", model=MODEL, facts=FACTS, profile=PROFILE, signer=signer)
    assert open_bundle(tmp_path / "made", trusted=trusted, expected=digest).digest == digest


def test_facts_that_would_not_read_back_are_refused(tmp_path: Path, signer: Signer) -> None:
    naive = datetime(2026, 1, 1)  # noqa: DTZ001 - the naive time is the point
    for facts in (replace(FACTS, metrics={"loss": float("nan")}), replace(FACTS, training_start=naive)):
        with pytest.raises(BundleError, match="read back"):
            write_bundle(tmp_path / "x", model=MODEL, facts=facts, profile=PROFILE, signer=signer)
    assert not (tmp_path / "x").exists()


def overwrite(path: Path, place: int, value: int) -> None:
    with path.open("r+b") as file:
        file.seek(place)
        file.write(bytes([value]))


@pytest.mark.parametrize("name", ["manifest.json", "bundle.json", "profile.json"])
def test_every_flipped_byte_of_a_small_file_is_refused(folder: Path, trusted: TrustedKeys, name: str) -> None:
    path = folder / name
    original = path.read_bytes()
    for place in range(len(original)):
        overwrite(path, place, original[place] ^ (1 << place % 8))
        with pytest.raises(BundleError, match=f"{name} was altered"):
            open_bundle(folder, trusted=trusted)
        overwrite(path, place, original[place])


def test_every_flipped_byte_of_the_signature_is_refused_or_changes_nothing(folder: Path, trusted: TrustedKeys) -> None:
    path = folder / "signature.json"
    original = path.read_bytes()
    expected = content(open_bundle(folder, trusted=trusted))
    refused = 0
    for place in range(len(original)):
        overwrite(path, place, original[place] ^ (1 << place % 8))
        try:
            assert content(open_bundle(folder, trusted=trusted)) == expected
        except BundleError:
            refused += 1
        overwrite(path, place, original[place])
    # What remains is white space between the parts, and the spare bits that end a base64 text.
    assert refused > 0.98 * len(original.replace(b" ", b"").replace(b"\n", b""))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_change_of_any_file_is_refused_or_changes_nothing(
    data: st.DataObject, folder: Path, trusted: TrustedKeys, tmp_path: Path
) -> None:
    expected = content(open_bundle(folder, trusted=trusted))
    copy = tmp_path / "copy"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(folder, copy)
    path = copy / data.draw(st.sampled_from(sorted(FILES)))
    original = path.read_bytes()
    start = data.draw(st.integers(0, len(original)))
    end = data.draw(st.integers(start, min(len(original), start + 64)))
    path.write_bytes(original[:start] + data.draw(st.binary(max_size=64)) + original[end:])
    try:
        assert content(open_bundle(copy, trusted=trusted)) == expected
    except BundleError:
        assert path.read_bytes() != original


@pytest.mark.parametrize("name", sorted(FILES))
def test_a_missing_linked_renamed_or_special_file_is_refused(folder: Path, trusted: TrustedKeys, name: str) -> None:
    path, aside = folder / name, folder.parent / "aside"
    shutil.move(path, aside)

    def refused() -> None:
        with pytest.raises(BundleError):
            open_bundle(folder, trusted=trusted)

    refused()
    path.symlink_to(aside)
    refused()
    path.unlink()
    path.mkdir()
    refused()
    path.rmdir()
    os.mkfifo(path)
    refused()
    path.unlink()
    (folder / f"{name}.bak").write_bytes(aside.read_bytes())
    refused()
    (folder / f"{name}.bak").unlink()
    shutil.move(aside, path)
    open_bundle(folder, trusted=trusted)


def test_an_added_file_and_a_linked_folder_are_refused(folder: Path, trusted: TrustedKeys) -> None:
    link = folder.parent / "link"
    link.symlink_to(folder)
    with pytest.raises(BundleError, match="is not a folder"):
        open_bundle(link, trusted=trusted)
    with pytest.raises(BundleError, match="is not a folder"):
        open_bundle(folder / "absent", trusted=trusted)
    for extra in (".hidden", "model.onnx.data"):
        (folder / extra).write_bytes(b"")
        with pytest.raises(BundleError, match=extra):
            open_bundle(folder, trusted=trusted)
        (folder / extra).unlink()


def test_an_unsigned_bundle_says_so(folder: Path, trusted: TrustedKeys) -> None:
    (folder / "signature.json").unlink()
    with pytest.raises(BundleError, match="unsigned"):
        open_bundle(folder, trusted=trusted)


def test_a_bundle_of_an_unknown_signer_names_the_keys(folder: Path, signer: Signer, tmp_path: Path) -> None:
    other = make_key(tmp_path / "other")
    with pytest.raises(BundleError, match=f"{signer.key_id}.*{other.key_id[:12]}"):
        open_bundle(folder, trusted=TrustedKeys(tmp_path / "other" / "trusted"))
    with pytest.raises(BundleError, match="they hold no key"):
        open_bundle(folder, trusted=TrustedKeys(tmp_path / "nowhere"))


def test_another_bundle_than_the_expected_one_is_refused(folder: Path, trusted: TrustedKeys) -> None:
    with pytest.raises(BundleError, match="expected " + "0" * 64):
        open_bundle(folder, trusted=trusted, expected="0" * 64)


def test_the_signature_of_another_bundle_does_not_fit(folder: Path, tmp_path: Path, signer: Signer) -> None:
    write_bundle(tmp_path / "b", model=b"other", facts=FACTS, profile=PROFILE, signer=signer)
    shutil.copy(tmp_path / "b" / "signature.json", folder / "signature.json")
    with pytest.raises(BundleError, match="was altered"):
        open_bundle(folder, trusted=TrustedKeys(tmp_path / "keys" / "trusted"))


def test_a_signed_manifest_that_does_not_fit_its_files_is_refused(
    folder: Path, trusted: TrustedKeys, signer: Signer
) -> None:
    for manifest in (encode_manifest({"model.onnx": b"x"}), b"{}", (folder / "manifest.json").read_bytes() + b" "):
        (folder / "signature.json").unlink()
        (folder / "manifest.json").write_bytes(manifest)
        signer.sign_folder(folder)
        with pytest.raises(BundleError, match=r"manifest\.json"):
            open_bundle(folder, trusted=trusted)


def test_facts_of_another_version_are_explained(folder: Path, trusted: TrustedKeys, signer: Signer) -> None:
    (folder / "signature.json").unlink()
    files = {name: (folder / name).read_bytes() for name in ("model.onnx", "profile.json")}
    files["bundle.json"] = b'{"task":"fashion"}'
    (folder / "bundle.json").write_bytes(files["bundle.json"])
    (folder / "manifest.json").write_bytes(encode_manifest(files))
    signer.sign_folder(folder)
    with pytest.raises(BundleError, match="does not fit this version"):
        open_bundle(folder, trusted=trusted)


def test_a_signature_over_more_than_the_bundle_is_refused(folder: Path, trusted: TrustedKeys, signer: Signer) -> None:
    (folder / "signature.json").unlink()
    (folder / "extra").write_bytes(b"x")
    signer.sign_folder(folder)
    (folder / "extra").unlink()
    with pytest.raises(BundleError, match="extra"):
        open_bundle(folder, trusted=trusted)


RULE = b"rule" * 50


@pytest.fixture
def ruled(tmp_path: Path, signer: Signer) -> Path:
    """A bundle with a rule beside the model."""
    folder = tmp_path / "ruled" / "one"
    write_bundle(folder, model=MODEL, facts=replace(FACTS, fallback=True), profile=PROFILE, signer=signer, rule=RULE)
    return folder


def test_a_rule_is_a_part_of_the_bundle_and_of_its_digest(ruled: Path, trusted: TrustedKeys, signer: Signer) -> None:
    bundle = open_bundle(ruled, trusted=trusted)
    assert (bundle.rule, bundle.facts.fallback, bundle.model) == (RULE, True, MODEL)
    assert {path.name for path in ruled.iterdir()} == FILES | {RULE_FILE}
    assert bundle.digest == digest_of((ruled / "manifest.json").read_bytes())
    other = ruled.parent / "other"
    write_bundle(other, model=MODEL, facts=bundle.facts, profile=PROFILE, signer=signer, rule=RULE + b"!")
    assert open_bundle(other, trusted=trusted).digest != bundle.digest


def test_every_flipped_byte_of_a_rule_is_refused(ruled: Path, trusted: TrustedKeys) -> None:
    path = ruled / RULE_FILE
    for place in range(len(RULE)):
        overwrite(path, place, RULE[place] ^ (1 << place % 8))
        with pytest.raises(BundleError, match=r"rule\.onnx was altered"):
            open_bundle(ruled, trusted=trusted)
        overwrite(path, place, RULE[place])
    open_bundle(ruled, trusted=trusted)


def test_a_rule_that_is_taken_away_or_added_is_refused(ruled: Path, folder: Path, trusted: TrustedKeys) -> None:
    shutil.copy(ruled / RULE_FILE, folder / RULE_FILE)
    with pytest.raises(BundleError, match=r"rule\.onnx was altered"):
        open_bundle(folder, trusted=trusted)
    (ruled / RULE_FILE).unlink()
    with pytest.raises(BundleError, match=r"is over \[.*rule\.onnx"):
        open_bundle(ruled, trusted=trusted)


def test_a_rule_without_a_declared_fallback_and_a_fallback_without_a_rule_are_refused(
    tmp_path: Path, signer: Signer
) -> None:
    for facts, rule, found in ((FACTS, RULE, "has a rule"), (replace(FACTS, fallback=True), None, "has no rule")):
        with pytest.raises(BundleError, match=found):
            write_bundle(tmp_path / "x", model=MODEL, facts=facts, profile=PROFILE, signer=signer, rule=rule)
    assert not (tmp_path / "x").exists()


def test_a_signed_bundle_whose_facts_say_nothing_of_its_rule_is_refused(
    ruled: Path, trusted: TrustedKeys, signer: Signer
) -> None:
    (ruled / "signature.json").unlink()
    text = (ruled / "bundle.json").read_bytes().replace(b'"fallback":true', b'"fallback":false')
    (ruled / "bundle.json").write_bytes(text)
    names = ("model.onnx", "bundle.json", "profile.json", RULE_FILE)
    (ruled / "manifest.json").write_bytes(encode_manifest({name: (ruled / name).read_bytes() for name in names}))
    signer.sign_folder(ruled)
    with pytest.raises(BundleError, match="has a rule, and its facts say fallback: False"):
        open_bundle(ruled, trusted=trusted)


def test_a_bundle_from_before_there_were_fallbacks_is_read(folder: Path, trusted: TrustedKeys, signer: Signer) -> None:
    (folder / "signature.json").unlink()
    text = (folder / "bundle.json").read_bytes().replace(b',"fallback":false', b"")
    assert b"fallback" not in text
    (folder / "bundle.json").write_bytes(text)
    names = ("model.onnx", "bundle.json", "profile.json")
    (folder / "manifest.json").write_bytes(encode_manifest({name: (folder / name).read_bytes() for name in names}))
    signer.sign_folder(folder)
    assert open_bundle(folder, trusted=trusted).facts == FACTS
