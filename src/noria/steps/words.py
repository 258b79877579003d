"""Words: which of the known ones a person may have meant by one that nobody knows."""

from __future__ import annotations

from collections.abc import Iterable


def ask_back(word: str, known: Iterable[str]) -> str:
    """The end of a refusal: "; did you mean 'seed'?", or "" where no known word is close."""
    from difflib import get_close_matches

    close = get_close_matches(word, list(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""
