"""Signature: who vouches for bytes; made with the model-signing package, verified with `cryptography` alone.

Verifying costs no import of model-signing (half a second), which the predictor could not afford; a contract test holds
both verifiers together. A key's id is the sha256 of its public PEM text, as in model-signing.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from contextlib import suppress
from importlib import import_module
from pathlib import Path

import msgspec
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from noria.errors import BundleError
from noria.ml.durable import create_whole, write_whole
from noria.ml.envelope import SIGNATURE_FILE, pre_authentication

PRIVATE_NAME = "signing.pem"
TRUSTED_NAME = "trusted"
KEY_ID = re.compile(r"[0-9a-f]{64}")


class Signer:
    """The one who vouches: an elliptic-curve key (P-256) in a PEM file without a password."""

    def __init__(self, private_key_path: Path) -> None:
        self._path = private_key_path
        expected = "expected an elliptic-curve (P-256) private key in PEM without a password"
        try:
            key = serialization.load_pem_private_key(private_key_path.read_bytes(), password=None)
        except OSError as error:
            raise BundleError(
                f"the signing key {private_key_path} cannot be read ({error.strerror}): {expected}; "
                "that of a cluster comes with `make connect SIGN=1`; without NORIA_SIGNING_KEY the first run makes one"
            ) from error
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise BundleError(f"{private_key_path} is not a usable signing key ({error}): {expected}") from error
        if not isinstance(key, ec.EllipticCurvePrivateKey) or key.curve.name != "secp256r1":
            raise BundleError(f"{private_key_path} holds a key of another kind: {expected}")
        self._key = key
        self.public_pem = _public_pem(key.public_key())
        self.key_id = hashlib.sha256(self.public_pem).hexdigest()

    def sign(self, payload_type: str, payload: bytes) -> str:
        """Sign the payload as a thing of the type; base64 of an ECDSA signature in DER.

        The signature is deterministic (RFC 6979): a step that was killed and runs again writes the same bytes, and so
        finds what it had published already.
        """
        algorithm = ec.ECDSA(hashes.SHA256(), deterministic_signing=True)
        signature = self._key.sign(pre_authentication(payload_type, payload), algorithm)
        return base64.b64encode(signature).decode("ascii")

    def sign_folder(self, folder: Path) -> None:
        """Write signature.json over all other files of the folder."""
        # Its import takes half a second, which only training pays; and it has no types for the calls made here.
        model_signing = import_module("model_signing")

        hashing = model_signing.hashing.Config().set_ignored_paths(paths=[SIGNATURE_FILE], ignore_git_paths=False)
        signing = model_signing.signing.Config().use_elliptic_key_signer(private_key=self._path)
        signing.set_hashing_config(hashing).sign(folder, folder / SIGNATURE_FILE)
        self._sign_again(folder / SIGNATURE_FILE)

    def _sign_again(self, path: Path) -> None:
        """Put the deterministic signature in the place of model-signing's own, which takes a new nonce each time."""
        found = msgspec.json.decode(path.read_bytes())
        envelope = found["dsseEnvelope"]
        # protobuf writes the keys of the statement in an order of its own in each process
        statement = msgspec.json.decode(base64.b64decode(envelope["payload"]))
        payload = msgspec.json.encode(statement, order="deterministic")
        envelope["payload"] = base64.b64encode(payload).decode("ascii")
        envelope["signatures"][0]["sig"] = self.sign(envelope["payloadType"], payload)
        path.write_bytes(msgspec.json.encode(found, order="deterministic"))


class TrustedKeys:
    """The public keys that are believed: a folder with one <key id>.pem each; a key that is added is believed at once.

    A key that no longer signs stays in the folder for as long as something that it signed is still read.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._keys: dict[str, ec.EllipticCurvePublicKey] = {}

    def key_ids(self) -> tuple[str, ...]:
        """The ids of the keys that lie in the folder, sorted."""
        return tuple(sorted(path.stem for path in self.folder.glob("*.pem")))

    def verify(self, *, key_id: str, signed: bytes, signature: bytes) -> None:
        """Return only if the signature over the bytes is right and of this trusted key; else BundleError."""
        key = self._load(key_id)
        try:
            key.verify(signature, signed, ec.ECDSA(hashes.SHA256()))
        except InvalidSignature as error:
            raise BundleError(
                f"the signature of key {key_id[:12]}… does not fit the bytes: "
                "they were altered, or the signature is forged"
            ) from error

    def verify_payload(self, *, key_id: str, payload_type: str, payload: bytes, signature: str) -> None:
        """The counterpart of Signer.sign; BundleError as in `verify`."""
        try:
            raw = base64.b64decode(signature, validate=True)
        except (binascii.Error, ValueError) as error:
            raise BundleError(f"the signature {signature[:20]!r}… is not base64: it was altered") from error
        if base64.b64encode(raw).decode("ascii") != signature:  # its last bits can differ and mean the same bytes
            raise BundleError(f"the signature {signature[:20]!r}… is not as base64 writes it: it was altered")
        self.verify(key_id=key_id, signed=pre_authentication(payload_type, payload), signature=raw)

    def _load(self, key_id: str) -> ec.EllipticCurvePublicKey:
        if key_id in self._keys:
            return self._keys[key_id]
        path = self.folder / f"{key_id}.pem"
        # The id comes from what is being verified, so it is checked before it becomes a path.
        if not KEY_ID.fullmatch(key_id) or not path.exists():
            known = ", ".join(f"{known[:12]}…" for known in self.key_ids()) or "no key"
            raise BundleError(
                f"signed by key {key_id[:64]!r}, which the trusted keys in {self.folder} lack (they hold {known}): "
                "add its public key as <key id>.pem if you trust it, or publish again with a trusted key"
            )
        try:
            pem = path.read_bytes()
        except OSError as error:
            raise BundleError(f"the trusted key {path} cannot be read ({error.strerror}): make it readable") from error
        self._keys[key_id] = _parse_public(path, key_id, pem)
        return self._keys[key_id]


def make_key(folder: Path) -> Signer:
    """Load the signing key of the folder; on first use make it, and put its public part among the trusted keys.

    Of several processes at once one makes the key and all use it. A private key whose public part is missing, because a
    process was killed in between, gets it again.
    """
    path = folder / PRIVATE_NAME
    try:
        if not path.exists():
            pem = ec.generate_private_key(ec.SECP256R1()).private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
            with suppress(FileExistsError):
                create_whole(path, pem, mode=0o600)
        signer = Signer(path)
        public = folder / TRUSTED_NAME / f"{signer.key_id}.pem"
        if not public.exists():
            write_whole(public, signer.public_pem)
    except OSError as error:
        raise BundleError(
            f"no signing key can be made in {folder} ({error.strerror}): expected a folder that can be written; "
            "free space, or let NORIA_HOME name another folder"
        ) from error
    return signer


def _public_pem(key: ec.EllipticCurvePublicKey) -> bytes:

    return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def _parse_public(path: Path, key_id: str, pem: bytes) -> ec.EllipticCurvePublicKey:

    expected = f"expected the elliptic-curve public key {key_id[:12]}… in PEM; put it there again, from its owner"
    try:
        key = serialization.load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise BundleError(f"{path} is not a usable public key ({error}): {expected}") from error
    if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name != "secp256r1":
        raise BundleError(f"{path} holds a key of another kind: {expected}")
    found = hashlib.sha256(_public_pem(key)).hexdigest()
    if found != key_id:
        raise BundleError(f"{path} holds key {found[:12]}…: {expected}")
    return key
