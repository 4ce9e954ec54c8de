"""What header lines mean to a proxy, and how much of that is remembered."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.model.traffic import is_reserved
from gateway.core import headers as module
from gateway.core.headers import (
    CLAIMS,
    FORWARDED,
    KINDS,
    MAX_KNOWN,
    MAX_KNOWN_BYTES,
    PLAIN,
    RESERVED,
    KnownLines,
    connection_tokens,
    drop_named,
    meaning,
)
from tests.unit.gateway.core.tables import table


@pytest.mark.parametrize("name", KINDS, ids=bytes.decode)
@pytest.mark.parametrize(
    "write",
    [
        pytest.param(bytes.lower, id="lower-case"),
        pytest.param(bytes.upper, id="upper-case"),
        pytest.param(bytes.title, id="title-case"),
    ],
)
def test_names_are_known_in_any_case(name, write):
    assert meaning(write(name) + b": \t some value\t ") == (KINDS[name], b"some value")


@pytest.mark.parametrize(
    "line",
    [
        pytest.param(b"Accept: */*", id="ordinary"),
        pytest.param(b"X_Custom: 1", id="underscore-in-a-name-that-means-nothing"),
        pytest.param(b"Hosts: a", id="longer"),
        pytest.param(b"Hos: a", id="shorter"),
        pytest.param(b"X: Content-Length: 4", id="only-in-the-value"),
    ],
)
def test_other_lines_mean_nothing(line):
    assert meaning(line) == (PLAIN, b"")


@pytest.mark.parametrize("name", [n for n in KINDS if b"-" in n], ids=bytes.decode)
def test_underscores_do_not_disguise_a_name_to_cgi_like_applications(name):
    assert meaning(name.replace(b"-", b"_") + b": 1") == (RESERVED, b"")
    assert meaning(name.replace(b"-", b"_", 1).upper() + b": 1") == (RESERVED, b"")


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        pytest.param(b"X-Forwarded-For: 1.1.1.1", FORWARDED, id="address"),
        pytest.param(b"X-Forwarded-User: root", FORWARDED, id="user"),
        pytest.param(b"x-forwarded-client-cert: a", FORWARDED, id="certificate"),
        pytest.param(b"X-Forwarded: for=a", FORWARDED, id="bare"),
        pytest.param(b"X_Forwarded_Email: root", RESERVED, id="disguised"),
        pytest.param(b"X-Forwarded-Prefix: /a", RESERVED, id="prefix-is-ours-to-say"),
        pytest.param(b"X-Forward: a", PLAIN, id="another-name"),
    ],
)
def test_every_claim_of_a_proxy_is_known_by_the_beginning_of_its_name(line, kind):
    assert meaning(line)[0] == kind


@pytest.mark.parametrize("name", [*KINDS, CLAIMS, CLAIMS + b"-user"], ids=bytes.decode)
def test_what_means_something_to_a_proxy_cannot_name_a_session(name):
    assert is_reserved(name.decode())


def test_the_docstring_lists_all_kinds_in_order():
    kinds = {name: value for name, value in vars(module).items() if isinstance(value, int)}
    rows = [row[0] for row in table(module, first="kind")]
    assert rows == sorted(rows, key=kinds.__getitem__)
    assert {kinds[name] for name in rows} == {PLAIN, *KINDS.values()}


def test_a_line_is_learnt_once():
    known = KnownLines()
    learnt = {line: known.learn(line) for line in (b"Host: a", b"TE: b", b"C: d")}
    assert known.known == learnt


def test_memory_is_bounded_in_count():
    known = KnownLines()
    for number in range(3 * MAX_KNOWN):
        known.learn(b"X-Request: %d" % number)
        assert len(known.known) <= MAX_KNOWN
    assert b"X-Request: %d" % (3 * MAX_KNOWN - 1) in known.known


def test_long_lines_are_understood_and_not_kept():
    known = KnownLines()
    longest = b"Host: ".ljust(MAX_KNOWN_BYTES, b"a")
    assert known.learn(longest)[0] == KINDS[b"host"]
    assert known.learn(longest + b"a") == (KINDS[b"host"], longest[6:] + b"a")
    assert list(known.known) == [longest]


@given(lines=st.lists(st.sampled_from([b"Host: a", b"HOST: a", b"A: 1", b"TE: x"]), max_size=20))
def test_memory_never_changes_a_meaning(lines):
    known = KnownLines()
    for line in lines:
        assert (known.known.get(line) or known.learn(line)) == meaning(line)


@pytest.mark.parametrize(
    ("value", "tokens"),
    [
        pytest.param(b"close", [b"close"], id="one"),
        pytest.param(b"Keep-Alive, X-Foo", [b"keep-alive", b"x-foo"], id="several-in-any-case"),
        pytest.param(b"a,b\t, c", [b"a", b"b", b"c"], id="any-white-space"),
        pytest.param(b", ,a,,", [b"a"], id="empty-elements-are-ignored"),
        pytest.param(b"", [], id="empty"),
        pytest.param(b"close x", [b"close x"], id="a-blank-does-not-separate"),
    ],
)
def test_connection_options_are_a_comma_separated_list(value, tokens):
    assert connection_tokens(value) == tokens


def test_lines_that_connection_names_are_taken_out_whatever_their_case():
    lines = [b"X-Foo: 1", b"x-foo:2", b"X-Foobar: 3", b"Bar: x-foo"]
    assert drop_named(lines, [b"x-foo", b"x-absent"]) == [b"X-Foobar: 3", b"Bar: x-foo"]
