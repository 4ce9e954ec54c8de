"""Wrong bodies for every operation, from the document's own schemas: each breaks one thing.

A valid body is made from the schema (or the document's example is taken), then one thing is done
to it at a random place. What the schema still allows afterwards is thrown away, so that every
body that leaves here must be refused; `where` is what the refusal has to name.
"""

import copy
import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import jsonschema_rs

from tests.api_fuzz.patterns import text_for

Place = tuple[str | int, ...]
Schema = dict[str, Any]

WRONG_TYPES: dict[str, list[Any]] = {
    # Numbers in quotes are taken for numbers, as everywhere in this kind of API: not wrong.
    "integer": ["many", [], {}, 1.5, [1], True],
    "number": ["many", [], {}, [1.0], True],
    "boolean": ["perhaps", 7, [], {}],
    "string": [5, True, [], {}, ["a"]],
    "array": ["a", 5, {"a": 1}],
    "object": ["a", 5, [1]],
}
DEPTH = 3_000
MARK = "@@raw@@"


@dataclass(frozen=True)
class Wrong:
    """One body that has to be refused."""

    kind: str
    content: bytes
    where: Place | None
    """The field at fault; None: the body as a whole, or it is not JSON at all."""

    def __str__(self) -> str:
        return f"{self.kind} at {self.where}: {self.content[:500]!r}"


class Bodies:
    """Bodies of one operation."""

    def __init__(self, document: Schema, operation: Schema, chance: random.Random) -> None:
        self._document = document
        self._chance = chance
        body = operation["requestBody"]
        content = body["content"]["application/json"]
        self.schema: Schema = content["schema"]
        self._required = body.get("required", False)
        self._examples = [one["value"] for one in content.get("examples", {}).values()]
        whole = {"components": document["components"], **self.schema}
        self._validator = jsonschema_rs.Draft202012Validator(whole)
        self._kinds: list[Callable[[], Wrong | None]] = [
            *(self._value, self._value, self._value, self._missing, self._extra, self._null),
            *(self._beyond, self._beyond, self._not_a_number, self._surrogate, self._twice),
            *(self._nested, self._text, self._whole),
        ]

    def valid(self) -> Any:
        """A body that the schema allows.

        Raises:
            AssertionError: None was found: the generator has to learn something of this schema.
        """
        for _ in range(200):
            made = self._make(self.schema, 0)
            if self._examples and self._chance.random() < 0.4:
                made = copy.deepcopy(self._chance.choice(self._examples))
            if self._validator.is_valid(made):
                return made
        raise AssertionError(f"no body for {self.schema}, last: {json.dumps(made)[:2000]}")

    def wrong(self, count: int) -> Iterator[Wrong]:
        """So many wrong bodies."""
        tries = 0
        while count:
            tries += 1
            assert tries < 20_000, f"hardly anything is wrong for {self.schema}"
            made = self._chance.choice(self._kinds)()
            if made is not None:
                count -= 1
                yield made

    # -- valid values -----------------------------------------------------------------------------

    def _resolve(self, schema: Schema) -> Schema:
        while "$ref" in schema:
            name = schema["$ref"].rpartition("/")[2]
            schema = self._document["components"]["schemas"][name]
        return schema

    def _make(self, schema: Schema, depth: int) -> Any:  # noqa: PLR0911 - one per type
        schema = self._resolve(schema)
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            return self._chance.choice(schema["enum"])
        for choice in ("anyOf", "oneOf"):
            if choice in schema:
                found = [s for s in schema[choice] if s.get("type") != "null"] or schema[choice]
                return self._make(self._chance.choice(found), depth)
        match schema.get("type"):
            case "object":
                return self._object(schema, depth)
            case "array":
                low = schema.get("minItems", 0)
                count = self._chance.randint(low, max(low, min(schema.get("maxItems", 2), 2)))
                return [self._make(schema.get("items", {}), depth + 1) for _ in range(count)]
            case "integer":
                return self._chance.randint(*_bounds(schema))
            case "number":
                low, high = _bounds(schema)
                return self._chance.choice([low, high, (low + high) / 2])
            case "boolean":
                return self._chance.random() < 0.5
            case "string":
                return text_for(schema, self._chance)
            case "null":
                return None
        return "anything"

    def _object(self, schema: Schema, depth: int) -> dict[str, Any]:
        required = schema.get("required", [])
        fields = schema.get("properties", {})
        odds = 0.6 if depth < 6 else 0.0
        made = {
            name: self._make(field, depth + 1)
            for name, field in fields.items()
            if name in required or self._chance.random() < odds
        }
        if not fields and isinstance(schema.get("additionalProperties"), dict):
            made["key"] = self._make(schema["additionalProperties"], depth + 1)
        return made

    # -- places -----------------------------------------------------------------------------------

    def _places(self, value: Any, schema: Schema, at: Place = ()) -> Iterator[tuple[Place, Schema]]:
        """Every place of a value with its schema; of a union, that branch which fits."""
        schema = self._branch(value, schema)
        yield at, schema
        if isinstance(value, dict):
            for name, child in value.items():
                field = schema.get("properties", {}).get(name)
                if field is None and isinstance(schema.get("additionalProperties"), dict):
                    field = schema["additionalProperties"]
                if field is not None:
                    yield from self._places(child, field, (*at, name))
        elif isinstance(value, list) and isinstance(schema.get("items"), dict):
            for index, child in enumerate(value):
                yield from self._places(child, schema["items"], (*at, index))

    def _branch(self, value: Any, schema: Schema) -> Schema:
        schema = self._resolve(schema)
        for choice in ("anyOf", "oneOf"):
            for branch in schema.get(choice, []):
                whole = {"components": self._document["components"], **branch}
                if jsonschema_rs.Draft202012Validator(whole).is_valid(value):
                    return self._branch(value, branch)
        return schema

    def _somewhere(self, fits: Callable[[Schema], bool]) -> tuple[Any, Place, Schema] | None:
        body = self.valid()
        found = [(at, s) for at, s in self._places(body, self.schema) if fits(s)]
        if not found:
            return None
        at, schema = self._chance.choice(found)
        return body, at, schema

    # -- what is wrong ----------------------------------------------------------------------------

    def _put(self, kind: str, body: Any, at: Place, value: Any) -> Wrong | None:
        if not at:
            body = value
        else:
            _parent(body, at)[at[-1]] = value
        return None if self._validator.is_valid(body) else _wrong(kind, body, at)

    def _value(self) -> Wrong | None:
        found = self._somewhere(lambda s: s.get("type") in WRONG_TYPES)
        if found is None:
            return None
        body, at, schema = found
        return self._put("type", body, at, self._chance.choice(WRONG_TYPES[schema["type"]]))

    def _null(self) -> Wrong | None:
        found = self._somewhere(lambda s: bool(s.get("type")))
        return None if found is None else self._put("null", found[0], found[1], None)

    def _missing(self) -> Wrong | None:
        found = self._somewhere(lambda s: bool(s.get("required")))
        if found is None:
            return None
        body, at, schema = found
        name = self._chance.choice(schema["required"])
        _at(body, at).pop(name, None)
        return None if self._validator.is_valid(body) else _wrong("missing", body, (*at, name))

    def _extra(self) -> Wrong | None:
        found = self._somewhere(lambda s: s.get("additionalProperties") is False)
        if found is None:
            return None
        body, at, _ = found
        name = self._chance.choice(["unexpected", "Name", "", "__proto__", "\U0001f600", "id"])
        _at(body, at)[name] = self._chance.choice([None, 1, "a", {}])
        return None if self._validator.is_valid(body) else _wrong("extra", body, (*at, name))

    def _beyond(self) -> Wrong | None:
        found = self._somewhere(lambda s: bool(_beyond(s)))
        if found is None:
            return None
        body, at, schema = found
        return self._put("beyond", body, at, self._chance.choice(_beyond(schema)))

    def _raw(self, kind: str, type_: set[str], texts: list[str]) -> Wrong | None:
        found = self._somewhere(lambda s: s.get("type") in type_)
        if found is None or not found[1]:
            return None
        body, at, _ = found
        _parent(body, at)[at[-1]] = MARK
        text = json.dumps(body).replace(f'"{MARK}"', self._chance.choice(texts))
        return Wrong(kind, text.encode(), at)

    def _not_a_number(self) -> Wrong | None:
        texts = ["NaN", "Infinity", "-Infinity", "1e999"]
        return self._raw("not a number", {"integer", "number"}, texts)

    def _surrogate(self) -> Wrong | None:
        return self._raw("surrogate", {"string"}, [r'"\ud800"', r'"a\udfffb"'])

    def _twice(self) -> Wrong | None:
        """A name twice in one object: the last one counts, and it is wrong."""
        found = self._somewhere(lambda s: s.get("type") in {"string", "integer", "boolean"})
        if found is None or not found[1] or not isinstance(found[1][-1], str):
            return None
        body, at, _ = found
        name = json.dumps(at[-1])
        _parent(body, at)[at[-1]] = MARK
        value = f'"fine", {name}: {{"not": ["this"]}}'
        return Wrong("twice", json.dumps(body).replace(f'"{MARK}"', value).encode(), at)

    def _nested(self) -> Wrong | None:
        deep = self._chance.choice(["[", '{"a":'])
        close = {"[": "]", '{"a":': "}"}[deep]
        text = f"{deep * DEPTH}1{close * DEPTH}"
        made = self._raw("nested", {"string", "integer", "boolean"}, [text])
        return made and Wrong(made.kind, made.content, None)

    def _text(self) -> Wrong | None:
        """Bytes that are not JSON."""
        whole = json.dumps(self.valid()).encode()
        cut = whole[: self._chance.randint(1, max(1, len(whole) - 1))]
        wrongs = [
            ("truncated", cut),
            ("trailing", whole + b"}"),
            ("twice as much", whole + whole),
            ("not JSON", b"name: a"),
            ("single quotes", repr(json.loads(whole)).encode()),
            ("not UTF-8", b'{"name": "\xff\xfe\xfd"}'),
            ("half UTF-16", whole.decode().encode("utf-16-le") + b"\x00"),
            ("a comma too many", whole[:-1] + b",}"),
        ]
        if self._required:
            wrongs.append(("empty", b""))
        kind, content = self._chance.choice(wrongs)
        try:
            json.loads(content)
        except (ValueError, RecursionError):
            return Wrong(kind, content, None)
        return None

    def _whole(self) -> Wrong | None:
        value = self._chance.choice([None, [], [1], "a", 5, True, [{}]])
        return None if self._validator.is_valid(value) else _wrong("whole", value, ())


def _wrong(kind: str, body: Any, at: Place) -> Wrong:
    return Wrong(kind, json.dumps(body).encode(), at)


def _at(body: Any, at: Place) -> Any:
    for key in at:
        body = body[key]
    return body


def _parent(body: Any, at: Place) -> Any:
    return _at(body, at[:-1])


def _bounds(schema: Schema) -> tuple[int, int]:
    low = schema.get("minimum", schema.get("exclusiveMinimum", 0) + ("exclusiveMinimum" in schema))
    high = schema.get("maximum", schema.get("exclusiveMaximum", low + 100))
    return int(low), int(max(low, min(high, low + 100)))


def _beyond(schema: Schema) -> list[Any]:
    """Values of the right type that are outside of what a schema allows."""
    found: list[Any] = []
    if "minimum" in schema:
        found += [schema["minimum"] - 1, -(10**30)]
    if "maximum" in schema:
        found += [schema["maximum"] + 1, 10**30]
    if "maxLength" in schema:
        found.append("x" * (schema["maxLength"] + 1))
    if schema.get("minLength"):
        found.append("")
    if "pattern" in schema:
        found += ["\n", "?" * 40]
    if "enum" in schema or "const" in schema:
        found += ["no such word", "", 5]
    if schema.get("minItems"):
        found.append([])
    return found
