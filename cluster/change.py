"""Change: put an object in place of the very one that was looked at, so that what arrives late changes nothing."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from cluster.api import Api
from cluster.inference_service import Manifest, digest_of, holds, is_leaving, uid_of, version_of
from cluster.objects import read
from cluster.permissions import SERVICES
from noria.errors import ConflictError

LOOKS = 10  # KServe writes the status while a release looks on, and each time it is another version
GONE_SECONDS, LOOK_SECONDS = 120.0, 0.5  # for an object that was deleted to be gone, and between two looks at it
NO_OBJECT = "1"  # a version that no object ever has: with it an apply makes one, and is refused where there is one


def look(api: Api, name: str) -> Manifest | None:
    """The InferenceService as it is, None where there is none."""
    found = api.get(SERVICES, name)
    return None if found is None else read(found, dict[str, Any])


def put_in_place(
    api: Api, name: str, wanted: Manifest, *, check: Callable[[], None], of_bundle: str | None = None
) -> bool:
    """Apply the object unless the live one holds it; whether that was needed.

    With `of_bundle` one of another bundle stays as it is. `check` raises where the right to change it is gone.
    ConflictError where another field manager owns a field.
    """

    def attempt(live: Manifest | None, sent: bool) -> bool:
        if live is not None and holds(live, wanted):
            return sent
        if of_bundle is not None and (live is None or digest_of(live) != of_bundle):
            return False
        api.apply(SERVICES, name, _following(wanted, live), check=check)
        return True

    return _until_not_overtaken(api, name, attempt, check)


def remove(api: Api, name: str, bundle: str, *, check: Callable[[], None]) -> bool:
    """Delete the object of the bundle, whether that was needed; one of another bundle stays."""

    def attempt(live: Manifest | None, sent: bool) -> bool:
        if live is None:
            return sent
        if digest_of(live) != bundle:
            return False
        api.delete(SERVICES, name, uid=uid_of(live), version=version_of(live), check=check)
        return True

    return _until_not_overtaken(api, name, attempt, check)


def _until_not_overtaken(
    api: Api, name: str, attempt: Callable[[Manifest | None, bool], bool], check: Callable[[], None]
) -> bool:
    """Attempt it on the object as it is, and anew where that had changed meanwhile.

    The attempt hears whether one before it was refused: that may have been done, and only its answer lost.
    """
    sent = False
    for _ in range(LOOKS):
        live = _look_when_settled(api, name, check)
        try:
            return attempt(live, sent)
        except ConflictError:
            check()  # which says more of a turn that was lost
            if _version(look(api, name)) == _version(live):
                raise
            sent = True
    raise ConflictError(
        f"InferenceService {name} in namespace {api.namespace} changed {LOOKS} times while it was to be changed: "
        "expected it to be left alone for a moment; look for who writes it (metadata.managedFields), and run this again"
    )


def _look_when_settled(api: Api, name: str, check: Callable[[], None]) -> Manifest | None:
    """The object, but for one that was deleted and is not gone yet: nothing that is written to it would stay."""
    deadline = time.monotonic() + GONE_SECONDS
    while (live := look(api, name)) is not None and is_leaving(live):
        check()
        if time.monotonic() > deadline:
            raise ConflictError(
                f"InferenceService {name} in namespace {api.namespace} was deleted and is still there after "
                f"{GONE_SECONDS:.0f} s: expected KServe to clean up after it; look at its finalizers and at KServe's "
                "controller, then run this again"
            )
        time.sleep(LOOK_SECONDS)
    return live


def _following(wanted: Manifest, live: Manifest | None) -> Manifest:
    """The object with the version that it is to follow, and the identity, without which it would be made anew."""
    known = {"resourceVersion": NO_OBJECT} if live is None else {"uid": uid_of(live), "resourceVersion": _version(live)}
    return {**wanted, "metadata": {**wanted["metadata"], **known}}


def _version(live: Manifest | None) -> str:
    return version_of(live) if live is not None else ""
