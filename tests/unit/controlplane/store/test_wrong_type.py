"""Which type belongs into which key."""

import re

import pytest

from controlplane.store import scripts
from controlplane.store.records import Keys
from controlplane.store.wrong_type import type_of, wrong_type

TABLE = dict(re.findall(r"^    \{ns\}:(\w+)\S* +(\w+) ", scripts.__doc__, flags=re.MULTILINE))


@pytest.mark.parametrize("name", sorted({*TABLE, *scripts.TYPES}))
def test_every_key_has_the_type_that_the_table_says(name):
    words = {"str": "string"}
    assert scripts.TYPES[name] == words.get(TABLE[name], TABLE[name])
    assert type_of(Keys("any {name}")[f"{name}:more:of it"]) == scripts.TYPES[name]


def test_a_key_that_is_none_of_ours_has_no_type():
    assert type_of("somebody:else") is None


def test_the_error_names_the_key_and_what_to_do():
    key = Keys("tidegate")["journal:audit"]
    text = str(wrong_type(key))
    assert f"key {key} holds another type of value where a list belongs" in text
    assert text.endswith(f"delete it: UNLINK {key}")
