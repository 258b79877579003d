"""Hub: all models of the process, by name."""

from __future__ import annotations

from collections.abc import Mapping

from serving.refusal import RequestError
from serving.slot import Occupant, Slot

SHOWN = 100  # characters of a name that was asked for in vain


class Hub:
    """Finds who answers. Event loop only."""

    def __init__(self) -> None:
        self._slots: dict[str, Slot] = {}

    @property
    def slots(self) -> Mapping[str, Slot]:
        return self._slots

    @property
    def ready(self) -> bool:
        """Say whether there is a model, and none hangs: one that does needs another process.

        Where others answer in its place, that is what its task has asked for, and nothing would answer otherwise.
        """
        return bool(self._slots) and not any(one.stuck for slot in self._slots.values() for one in slot.occupants)

    def add(self, slot: Slot) -> None:
        """Let a model answer under its name; one of that name before it leaves."""
        leaving = self._slots.pop(slot.name, None)
        self._slots[slot.name] = slot
        if leaving is not None:
            leaving.close()

    def remove(self, name: str) -> bool:
        """Let the model of that name go, with all its versions; False if there is none."""
        leaving = self._slots.pop(name, None)
        if leaving is not None:
            leaving.close()
        return leaving is not None

    def find(self, name: str, version: str | None) -> Occupant:
        """The occupant that is asked for; RequestError (404) if there is none."""
        slot = self._slots.get(name)
        if slot is None:
            expected = ", ".join(map(repr, self._slots)) or "none, because no model is loaded"
            raise RequestError(f"no model {name[:SHOWN]!r}: expected {expected}", 404)
        occupant = slot.find(version)
        if occupant is None:
            expected = ", ".join(repr(one.model.version) for one in slot.occupants)
            raise RequestError(f"no version {str(version)[:SHOWN]!r} of {name!r}: expected {expected}", 404)
        return occupant

    def close(self) -> None:
        """Let all models go once they have answered what they hold."""
        for slot in self._slots.values():
            slot.close()
