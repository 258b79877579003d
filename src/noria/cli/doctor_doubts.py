"""Doctor, doubts: what a check finds that is neither well nor a fault."""

from __future__ import annotations

from noria.errors import NoriaError


class UntoldError(NoriaError):
    """It cannot be found out from here, and may be well."""


class UnneededError(NoriaError):
    """It lacks, or does not say what it is, and nothing in the settings needs it; `well` is None where nobody can tell.

    What is lacking is told all the same, to whoever is about to need it.
    """

    def __init__(self, found: str, *, well: bool | None = True) -> None:
        super().__init__(found)
        self.well = well
