"""Words that somebody misspelt."""

import difflib
from collections.abc import Iterable
from typing import Final

MAX_CHARS: Final = 100
"""Longer words resemble none of ours, and comparing takes time with the square of their length."""


def did_you_mean(word: str, words: Iterable[str]) -> str:
    """The end of a sentence about a word that is not known: `, did you mean 'name'?`.

    Args:
        word: What was said; it is not repeated.
        words: What is known.

    Returns:
        "" where none of them is like it.
    """
    close = difflib.get_close_matches(word, words, n=1) if len(word) <= MAX_CHARS else []
    return f", did you mean {close[0]!r}?" if close else ""
