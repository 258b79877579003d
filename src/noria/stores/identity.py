"""Identity: a name that an object store gives itself once, by which an empty one in its place is told from it."""

from __future__ import annotations

import uuid
from contextlib import suppress

from noria.errors import BucketMissingError, ObjectExistsError, ObjectMissingError
from noria.stores.objects import ObjectStore

KEY = "store-id"


def store_id(store: ObjectStore) -> str:
    """The store's name, 32 hexadecimal digits; made at the first question. Any number of askers hear the same.

    A cache that outlives a store, such as that of Kubeflow Pipelines, must not answer with addresses in it. Whoever
    removes objects by hand removes the object `store-id` as well, and every step runs again. This is the first that a
    run asks of its store, so where a server makes a bucket with its first object (SeaweedFS does), it is made here;
    BucketMissingError from any other.
    """
    try:
        return store.get(KEY).decode()
    except (ObjectMissingError, BucketMissingError):
        with suppress(ObjectExistsError):  # somebody else was first
            store.put_new(KEY, uuid.uuid4().hex.encode())
        return store.get(KEY).decode()
