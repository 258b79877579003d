"""S3 errors: what a failed request means, and what a person can do about it."""

from __future__ import annotations

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    NoCredentialsError,
    PartialCredentialsError,
)
from botocore.exceptions import (
    ConnectionError as BotoConnectionError,
)

NO_BUCKET = "NoSuchBucket"
_MISSING = frozenset({"NoSuchKey", "NotFound", "404"})
_CREDENTIALS = (
    "expected credentials that may do this; check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, which are variables, or "
    "files where NORIA_OBJECTS_KEYS names their folder, and the bucket's policy"
)
_STEPS = {
    NO_BUCKET: "expected the bucket to exist; create it, or correct NORIA_OBJECTS",
    "AccessDenied": _CREDENTIALS,
    "403": _CREDENTIALS,
    "InvalidAccessKeyId": _CREDENTIALS,
    "SignatureDoesNotMatch": _CREDENTIALS,
    "EntityTooLarge": "expected at most 5 GiB in one file; write smaller ones",
    "NotImplemented": "expected a server with conditional writes; use AWS S3 or SeaweedFS 4",
}
_BUSY = "expected an answer within the retries; the server is busy or faulty: look at it, then run again"


def code_of(error: ClientError | BotoCoreError) -> str:
    """The server's code for the error; "" if there was no whole answer."""
    return str(error.response.get("Error", {}).get("Code", "")) if isinstance(error, ClientError) else ""


def is_missing(error: ClientError | BotoCoreError) -> bool:
    """Whether the server said that there is no such object."""
    return code_of(error) in _MISSING


def explain(error: ClientError | BotoCoreError) -> str:
    """What was expected, and the next step."""
    if isinstance(error, NoCredentialsError | PartialCredentialsError):
        return _CREDENTIALS
    if isinstance(error, BotoConnectionError):
        return (
            "expected a server there; check that it runs, and NORIA_OBJECTS_ENDPOINT or AWS_ENDPOINT_URL, then run "
            "again: nothing is half there"
        )
    return _STEPS.get(code_of(error), _BUSY)
