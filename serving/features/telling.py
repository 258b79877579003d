"""Telling: how clients learn what a request may leave out, and what it then has to bring."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from serving.protocol import describe_inputs

if TYPE_CHECKING:
    from serving.model import ServedModel


def describe_service(model: ServedModel) -> dict[str, str]:
    """A parameter of the metadata that names the service, what it supplies, and the inputs of a request without that.

    It is JSON text, because a parameter may be no object. Nothing, where the store is not asked. The `context` is read
    along, and changes no answer.
    """
    plan = model.plan
    if plan is None or not model.completes:
        return {}
    about = {
        "name": plan.service.name,
        "supplies": [column.name for column in plan.supplied],
        **({"context": [column.name for column in plan.context]} if plan.context else {}),
        "inputs": describe_inputs(plan.asked),
        "optional": describe_inputs(plan.optional),
    }
    return {"feature_service": msgspec.json.encode(about).decode()}
