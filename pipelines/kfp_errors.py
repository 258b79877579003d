"""KFP errors: what Kubeflow Pipelines or the way to it said, as what was found, expected, and to do next."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

from noria.errors import ClusterError, ConflictError
from noria.settings import KfpSettings

FORWARD = "kubectl -n {namespace} port-forward svc/ml-pipeline-ui 8888:80"


class NotThereError(ClusterError):
    """Kubeflow Pipelines knows nothing of the name or the id."""


class UnreachableError(ClusterError):
    """Nothing answers there, or not in time: it may pass."""


KINDS: dict[int, tuple[type[ClusterError], str]] = {
    400: (ClusterError, "does not take what it was asked"),
    404: (NotThereError, "has nothing of that name or id"),
    409: (ConflictError, "has that already"),
}


@contextmanager
def asking(settings: KfpSettings, what: str) -> Iterator[None]:
    """Put a question to KFP; `what` says which, as in "list the runs". Whatever fails becomes a ClusterError."""
    import msgspec
    from kfp.client.client import kfp_server_api
    from urllib3.exceptions import HTTPError, ReadTimeoutError

    try:
        yield
    except kfp_server_api.ApiException as error:
        raise _refusal(settings, what, error.status, _said(error.body, error.reason)) from error
    except HTTPError as error:
        slow = isinstance(error, ReadTimeoutError) or "timed out" in str(error)
        kind = _kind(error)
        found = "does not answer in time" if slow else f"cannot be reached ({kind})"
        raise UnreachableError(
            f"Kubeflow Pipelines at {settings.host} {found}: it was asked to {what}. {_way(settings, kind)}"
        ) from error
    except (AttributeError, TypeError, KeyError, json.JSONDecodeError, msgspec.ValidationError) as error:  # of reading
        raise ClusterError(
            f"{settings.host} answers, but not as Kubeflow Pipelines 2 does ({error}): it was asked to {what}. Look at "
            "the address in NORIA_KFP; a login page in front of it wants a token in NORIA_KFP_TOKEN_FILE"
        ) from error


def _way(settings: KfpSettings, kind: str) -> str:
    """What to look at where nobody answers, or nobody who is believed."""
    if "certificate" in kind.lower():
        return "Look at the certificates in NORIA_KFP_CA_FILE, by which it is believed, and at the address in NORIA_KFP"
    if "ssl" in kind.lower():
        return "Look at the address in NORIA_KFP: what answers there does not speak https, so it may want http://"
    if settings.host.startswith("https://"):
        return "Look at the address in NORIA_KFP, and whether the way there is open"
    forward = FORWARD.format(namespace=settings.namespace)
    return (
        "Look at the address in NORIA_KFP, and whether the way there is open: `make connect ENV=dev` opens one, or "
        f"`{forward}`"
    )


def _refusal(settings: KfpSettings, what: str, status: int, said: str) -> ClusterError:
    host, found = f"Kubeflow Pipelines at {settings.host}", f"({status}: {said})"
    if status == 401:
        return ClusterError(f"{host} answers 401 when it is asked to {what}: it {_about_token(settings)}")
    if status == 403:
        return ClusterError(
            f"{host} does not let you {what} {found}: ask for that right in namespace {settings.namespace}, or name "
            "another in NORIA_KFP_NAMESPACE"
        )
    if status in KINDS:
        kind, words = KINDS[status]
        return kind(f"{host} {words}, to {what} {found}")
    log = f"kubectl -n {settings.namespace} logs deployment/ml-pipeline"
    return ClusterError(f"{host} failed to {what} {found}: try again, then look at its log, `{log}`")


def _about_token(settings: KfpSettings) -> str:
    if settings.token_file is None:
        return "wants a token: name the file that holds one in NORIA_KFP_TOKEN_FILE"
    return f"does not take the token in {settings.token_file}, which is wrong or has expired; write a new one there"


def _said(body: object, reason: str | None) -> str:
    """The message in an error's body, on one line."""
    text = body.decode(errors="replace") if isinstance(body, bytes) else str(body or "")
    try:
        told = json.loads(text)
        text = str(told.get("message") or told.get("error_message") or told.get("error") or text)
    except (ValueError, AttributeError):
        text = text if text and not text.lstrip().startswith("<") else str(reason)
    return " ".join(text.split())[:300]


def _kind(error: BaseException) -> str:
    """The innermost cause, which says what the outer ones wrap: a refused connection, an unknown name."""
    inner = next((one for one in (getattr(error, "reason", None), *error.args) if isinstance(one, BaseException)), None)
    if inner is not None:
        return _kind(inner)
    text = str(error).rpartition("): ")[2] or type(error).__name__
    return " ".join(text.split())[:200]
