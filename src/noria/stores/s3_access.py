"""S3 access: where a bucket's server is, and with whose keys it is asked."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError

from noria.errors import StoreError
from noria.settings import AccessSettings

KEY_FILES = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")  # as boto3 calls the variables
_KEY = re.compile(r"[!-~]+")


def make_client(access: AccessSettings, bucket: str, config: Config) -> Any:
    """A client of S3, with the keys as their files hold them now; what the settings leave open boto3 looks for itself.

    StoreError where a key cannot be read, or boto3 can make no client of it all.
    """
    given = dict(zip(("aws_access_key_id", "aws_secret_access_key"), _read_keys(access.keys), strict=False))
    try:
        return boto3.session.Session().client(
            "s3", config=config, endpoint_url=access.endpoint or None, region_name=access.region or None, **given
        )
    except (BotoCoreError, ValueError) as error:
        raise StoreError(
            f"no S3 client for bucket {bucket} ({error}): check NORIA_OBJECTS_ENDPOINT, NORIA_OBJECTS_REGION and the "
            "AWS_* variables"
        ) from error


def _read_keys(folder: Path | None) -> tuple[str, ...]:
    return () if folder is None else tuple(_read_key(folder / name) for name in KEY_FILES)


def _read_key(path: Path) -> str:
    """The key in the file, which no message repeats."""
    try:
        text = path.read_text(errors="replace").strip()
    except OSError as error:
        raise StoreError(
            f"key {path} cannot be read ({error.strerror}): expected the files {' and '.join(KEY_FILES)} in the folder "
            "that NORIA_OBJECTS_KEYS names; mount the Secret there, or unset it where a role gives the right"
        ) from error
    if not _KEY.fullmatch(text):
        found = "other characters" if text else "nothing"
        raise StoreError(
            f"key {path} holds {found}: expected one line of letters, digits and signs; mend the Secret, or the file"
        )
    return text
