"""Keys and signatures, and the contract between model-signing's verifier and ours."""

from __future__ import annotations

import base64
import json
import multiprocessing
import stat
import subprocess
import sys
from pathlib import Path

import model_signing
import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from noria.errors import BundleError
from noria.ml.envelope import parse_envelope, parse_statement
from noria.ml.manifest import digest_of
from noria.ml.signature import Signer, TrustedKeys, make_key


def verify_ours(folder: Path, trusted: Path) -> set[str]:
    """What a bundle's opening does with a signature, over any folder; returns the files that are signed for."""
    envelope = parse_envelope((folder / "signature.json").read_bytes())
    TrustedKeys(trusted).verify(key_id=envelope.key_id, signed=envelope.signed, signature=envelope.signature)
    found = {path.name: digest_of(path.read_bytes()) for path in folder.iterdir() if path.name != "signature.json"}
    signed = parse_statement(envelope.payload)
    if signed != found:
        raise ValueError("the files differ")
    return set(signed)


def verify_theirs(folder: Path, public_key: Path) -> None:
    verifying = model_signing.verifying.Config().use_elliptic_key_verifier(public_key=public_key)
    verifying.verify(folder, folder / "signature.json")


def accepted_by_theirs(folder: Path, public_key: Path) -> bool:
    try:
        verify_theirs(folder, public_key)
    except (ValueError, InvalidSignature):
        return False
    return True


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    return tmp_path / "keys"


@pytest.fixture
def signer(keys: Path) -> Signer:
    return make_key(keys)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "a.onnx").write_bytes(bytes(range(256)))
    (folder / "b.json").write_bytes(b"{}")
    return folder


def public_key(keys: Path, signer: Signer) -> Path:
    return keys / "trusted" / f"{signer.key_id}.pem"


def test_the_first_use_makes_a_key_that_only_its_owner_reads(keys: Path) -> None:
    signer = make_key(keys)
    private = keys / "signing.pem"
    assert stat.S_IMODE(private.stat().st_mode) == 0o600
    assert TrustedKeys(keys / "trusted").key_ids() == (signer.key_id,)
    assert digest_of(public_key(keys, signer).read_bytes()) == signer.key_id
    assert make_key(keys).key_id == signer.key_id
    assert Signer(private).key_id == signer.key_id


def test_a_public_part_that_a_killed_process_left_out_is_made_again(keys: Path, signer: Signer) -> None:
    public_key(keys, signer).unlink()
    assert make_key(keys).key_id == signer.key_id
    assert public_key(keys, signer).exists()


def make(folder: Path) -> str:
    return make_key(folder).key_id


def test_processes_that_make_a_key_at_once_get_the_same(keys: Path) -> None:
    with multiprocessing.get_context("fork").Pool(8) as pool:
        made = pool.map(make, [keys] * 8, chunksize=1)
    assert len(set(made)) == 1
    assert TrustedKeys(keys / "trusted").key_ids() == (made[0],)
    assert sorted(path.name for path in keys.iterdir()) == ["signing.pem", "trusted"]


def test_what_model_signing_accepts_is_accepted_here(folder: Path, keys: Path, signer: Signer) -> None:
    signer.sign_folder(folder)
    assert accepted_by_theirs(folder, public_key(keys, signer))
    assert verify_ours(folder, keys / "trusted") == {"a.onnx", "b.json"}


def test_a_folder_that_model_signing_signed_by_itself_is_accepted_here(
    folder: Path, keys: Path, signer: Signer
) -> None:
    hashing = model_signing.hashing.Config().set_ignored_paths(paths=["signature.json"], ignore_git_paths=False)
    signing = model_signing.signing.Config().use_elliptic_key_signer(private_key=keys / "signing.pem")
    signing.set_hashing_config(hashing).sign(folder, folder / "signature.json")
    assert parse_envelope((folder / "signature.json").read_bytes()).key_id == signer.key_id
    assert verify_ours(folder, keys / "trusted") == {"a.onnx", "b.json"}


def alter_file(folder: Path, _: Signer) -> None:
    (folder / "a.onnx").write_bytes(b"other")


def add_file(folder: Path, _: Signer) -> None:
    (folder / "c").write_bytes(b"")


def remove_file(folder: Path, _: Signer) -> None:
    (folder / "b.json").unlink()


def rename_file(folder: Path, _: Signer) -> None:
    (folder / "b.json").rename(folder / "c.json")


def edit(folder: Path, change: object) -> None:
    path = folder / "signature.json"
    document = json.loads(path.read_bytes())
    change(document)  # type: ignore[operator]
    path.write_text(json.dumps(document))


def alter_payload(folder: Path, _: Signer) -> None:
    def change(document: dict) -> None:
        payload = base64.b64decode(document["dsseEnvelope"]["payload"])
        document["dsseEnvelope"]["payload"] = base64.b64encode(payload.replace(b"a.onnx", b"z.onnx")).decode()

    edit(folder, change)


def alter_signature(folder: Path, _: Signer) -> None:
    def change(document: dict) -> None:
        document["dsseEnvelope"]["signatures"][0]["sig"] = base64.b64encode(b"0" * 70).decode()

    edit(folder, change)


def alter_payload_type(folder: Path, _: Signer) -> None:
    edit(folder, lambda document: document["dsseEnvelope"].update(payloadType="text/plain"))


def name_another_key(folder: Path, _: Signer) -> None:
    edit(folder, lambda document: document["verificationMaterial"]["publicKey"].update(hint="0" * 64))


@pytest.mark.parametrize(
    "alter",
    [
        alter_file, add_file, remove_file, rename_file, alter_payload, alter_signature, alter_payload_type,
        name_another_key,
    ],
)  # fmt: skip
def test_what_model_signing_refuses_is_refused_here(folder: Path, keys: Path, signer: Signer, alter: object) -> None:
    signer.sign_folder(folder)
    alter(folder, signer)  # type: ignore[operator]
    with pytest.raises((ValueError, InvalidSignature)):
        verify_theirs(folder, public_key(keys, signer))
    with pytest.raises((ValueError, BundleError)):
        verify_ours(folder, keys / "trusted")


def test_a_signature_that_names_more_than_it_should_is_refused(folder: Path, keys: Path, signer: Signer) -> None:
    signer.sign_folder(folder)
    edit(folder, lambda document: document.update(note="x"))
    with pytest.raises(ValueError, match="note"):
        verify_ours(folder, keys / "trusted")


def test_a_statement_over_links_or_other_ignored_files_is_refused(folder: Path, keys: Path, signer: Signer) -> None:
    for options in ({"paths": ["signature.json", "b.json"]}, {"paths": []}):
        hashing = model_signing.hashing.Config().set_ignored_paths(**options, ignore_git_paths=False)
        signing = model_signing.signing.Config().use_elliptic_key_signer(private_key=keys / "signing.pem")
        signing.set_hashing_config(hashing).sign(folder, folder / "signature.json")
        with pytest.raises(ValueError, match=r"ignore_paths|array|length"):
            verify_ours(folder, keys / "trusted")
        (folder / "signature.json").unlink()


def test_a_statement_that_contradicts_itself_is_refused(folder: Path, signer: Signer) -> None:
    signer.sign_folder(folder)
    payload = parse_envelope((folder / "signature.json").read_bytes()).payload
    whole = json.loads(payload)["subject"][0]["digest"]["sha256"].encode()
    for wrong in (payload.replace(whole, b"0" * 64), payload.replace(b"a.onnx", b"b.json")):
        with pytest.raises(ValueError, match=r"its subject|twice"):
            parse_statement(wrong)


def test_an_unknown_signer_is_named_beside_those_who_are_trusted(folder: Path, keys: Path, tmp_path: Path) -> None:
    known, stranger = make_key(keys), make_key(tmp_path / "stranger")
    stranger.sign_folder(folder)
    with pytest.raises(BundleError, match=rf"{stranger.key_id}.*{known.key_id[:12]}"):
        verify_ours(folder, keys / "trusted")


def test_a_trusted_key_is_believed_as_soon_as_it_is_added(folder: Path, keys: Path, tmp_path: Path) -> None:
    make_key(keys)
    stranger = make_key(tmp_path / "stranger")
    trusted = TrustedKeys(keys / "trusted")
    signature = stranger.sign("text", b"x")
    with pytest.raises(BundleError, match="lack"):
        trusted.verify_payload(key_id=stranger.key_id, payload_type="text", payload=b"x", signature=signature)
    (keys / "trusted" / f"{stranger.key_id}.pem").write_bytes(stranger.public_pem)
    trusted.verify_payload(key_id=stranger.key_id, payload_type="text", payload=b"x", signature=signature)
    assert stranger.key_id in trusted.key_ids()
    with pytest.raises(BundleError):
        trusted.verify_payload(key_id=stranger.key_id, payload_type="text", payload=b"y", signature=signature)


def test_a_signature_over_one_kind_of_thing_is_none_over_another(keys: Path, signer: Signer) -> None:
    trusted = TrustedKeys(keys / "trusted")
    signature = signer.sign("text", b"x")
    for kind, payload, given in (
        ("json", b"x", signature),
        ("text", b"y", signature),
        ("text", b"x", "?"),
        ("text", b"x", ""),
    ):
        with pytest.raises(BundleError):
            trusted.verify_payload(key_id=signer.key_id, payload_type=kind, payload=payload, signature=given)


@pytest.mark.parametrize("key_id", ["", "../signing", "x", "A" * 64, "0" * 63, "0" * 64 + "\n"])
def test_a_key_id_never_leads_out_of_the_folder(keys: Path, signer: Signer, key_id: str) -> None:
    with pytest.raises(BundleError, match="lack"):
        TrustedKeys(keys / "trusted").verify(key_id=key_id, signed=b"", signature=b"")


def test_a_public_key_under_a_wrong_name_or_torn_is_refused(keys: Path, signer: Signer) -> None:
    path = public_key(keys, signer)
    other = make_key(keys / "other")
    for content, said in ((other.public_pem, f"holds key {other.key_id[:12]}"), (b"torn", "not a usable public key")):
        path.write_bytes(content)
        with pytest.raises(BundleError, match=said):
            TrustedKeys(keys / "trusted").verify(key_id=signer.key_id, signed=b"", signature=b"")


def test_a_key_that_cannot_sign_is_refused_with_what_was_expected(tmp_path: Path) -> None:
    def pem(key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey, secret: bytes = b"") -> bytes:
        lock = serialization.BestAvailableEncryption(secret) if secret else serialization.NoEncryption()
        return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, lock)

    curve = ec.generate_private_key(ec.SECP256R1())
    for content in (
        b"", b"torn", pem(ed25519.Ed25519PrivateKey.generate()), pem(ec.generate_private_key(ec.SECP384R1())),
        pem(curve, b"secret"),
    ):  # fmt: skip
        (tmp_path / "signing.pem").write_bytes(content)
        with pytest.raises(BundleError, match="expected an elliptic-curve"):
            Signer(tmp_path / "signing.pem")
    with pytest.raises(BundleError, match=r"No such file.*the first run makes one"):
        Signer(tmp_path / "absent.pem")


def test_verifying_loads_no_signing_library() -> None:
    code = "import sys, noria.ml.bundle; print({'model_signing', 'sigstore', 'torch', 'pandas'} & set(sys.modules))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "set()"


def test_the_same_files_get_the_same_signature_each_time(tmp_path: Path, keys: Path) -> None:
    signer = make_key(keys)
    written = []
    for name in ("first", "second"):
        folder = tmp_path / name / "bundle"  # model-signing writes the folder's own name into what it signs
        folder.mkdir(parents=True)
        (folder / "model.onnx").write_bytes(b"weights")
        signer.sign_folder(folder)
        assert accepted_by_theirs(folder, public_key(keys, signer))
        written.append((folder / "signature.json").read_bytes())
    assert written[0] == written[1]
