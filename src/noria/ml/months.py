"""Months: the rows of each calendar month, as parts of which figures are told."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def months(times: NDArray[Any]) -> dict[str, NDArray[np.bool_]]:
    """Masks by month, such as "in 2013-12", of the instants in UTC that have one; none where all are of one month."""
    found = times.astype("datetime64[M]")
    names = np.unique(found[~np.isnat(found)])
    return {f"in {name}": found == name for name in names} if len(names) > 1 else {}
