"""Strings that fit a JSON schema of type string."""

import random
import re
from re import _constants as codes  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any

WORDS = ["a", "service", "x-1", "Ünïcode", "a b", "0"]
FORMATS = {
    "date-time": "2026-11-21T19:00:00Z",
    "uri": "http://localhost/",
    "email": "a@example.org",
    "uuid": "00000000-0000-4000-8000-000000000000",
}


def text_for(schema: dict[str, Any], chance: random.Random) -> str:
    """A string that the schema allows."""
    if "pattern" in schema:
        return fitting(schema["pattern"], chance)
    if schema.get("format") in FORMATS:
        return FORMATS[schema["format"]]
    text = chance.choice(WORDS)
    low = schema.get("minLength", 0)
    return text.ljust(low, "a")[: schema.get("maxLength", 100)]


def fitting(pattern: str, chance: random.Random) -> str:
    """A string that a regular expression finds itself in."""
    for _ in range(50):
        text = "".join(_walk(parser.parse(pattern), chance))
        if re.search(pattern, text):
            return text
    raise AssertionError(f"no text for {pattern}")


def _walk(tokens: Any, chance: random.Random) -> Any:
    for code, value in tokens:
        if code is codes.LITERAL:
            yield chr(value)
        elif code is codes.NOT_LITERAL:
            yield chance.choice([c for c in "abc" if ord(c) != value])
        elif code is codes.ANY:
            yield "a"
        elif code is codes.IN:
            yield _one_of(value, chance)
        elif code in {codes.MAX_REPEAT, codes.MIN_REPEAT}:
            low, high, inner = value
            for _ in range(chance.randint(low, min(high, low + 3))):
                yield from _walk(inner, chance)
        elif code is codes.SUBPATTERN:
            yield from _walk(value[-1], chance)
        elif code is codes.BRANCH:
            yield from _walk(chance.choice(value[1]), chance)


def _one_of(members: Any, chance: random.Random) -> str:
    letters = [chr(n) for n in range(32, 127)]
    allowed = set()
    negated = False
    for code, value in members:
        if code is codes.NEGATE:
            negated = True
        elif code is codes.LITERAL:
            allowed.add(chr(value))
        elif code is codes.RANGE:
            allowed.update(chr(n) for n in range(value[0], value[1] + 1))
        elif code is codes.CATEGORY:
            inside = {codes.CATEGORY_DIGIT: r"\d", codes.CATEGORY_WORD: r"\w"}.get(value, r"\s")
            allowed.update(c for c in letters if re.match(inside, c))
    return chance.choice(sorted(set(letters) - allowed if negated else allowed))
