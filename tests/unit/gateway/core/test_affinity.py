"""What names a replica, and how little moves when replicas come and go."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.affinity import (
    MAX_BINDINGS,
    Bindings,
    cookie_value,
    digest,
    fraction,
    header_line,
    rendezvous,
    set_cookie,
    split_suffix,
    token_of,
    value_of,
    with_suffix,
)

TOKEN = token_of("65f0000000000000000000e1")
VISIBLE = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1).map(str.encode)


def test_a_token_is_the_same_everywhere_and_shows_no_id():
    assert token_of("65f0000000000000000000e1") == TOKEN
    assert token_of("65f0000000000000000000e2") != TOKEN
    assert len(TOKEN) == 16
    assert b"65f0" not in TOKEN


# ---- cookies


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        pytest.param([b"Cookie: s=1"], b"1", id="alone"),
        pytest.param([b"cookie:a=2;s=1; b=3"], b"1", id="among-others"),
        pytest.param([b'COOKIE: s="1"'], b"1", id="quoted"),
        pytest.param([b"Accept: */*", b"Cookie: a=2", b"Cookie: s=1"], b"1", id="second-line"),
        pytest.param([b"Cookie: s=1; s=2"], b"1", id="the-first-counts"),
        pytest.param([b"Cookie: s="], b"", id="empty"),
        pytest.param([b"Cookie: xs=1; S=1; s"], None, id="other-names"),
        pytest.param([b"X-Cookie: s=1"], None, id="another-header"),
        pytest.param([], None, id="no-header"),
    ],
)
def test_cookies_are_found(lines, expected):
    assert cookie_value(lines, b"s") == expected


@pytest.mark.parametrize(
    ("ttl_s", "secure", "more"),
    [
        (None, False, b""),
        (None, True, b"; Secure"),
        (90.0, False, b"; Max-Age=90"),
        (0.2, False, b"; Max-Age=1"),
    ],
)
def test_a_cookie_is_for_its_own_invoke_url_and_out_of_scripts_reach(ttl_s, secure, more):
    line = set_cookie(b"s", TOKEN, path=b"/w/1", ttl_s=ttl_s, secure=secure)
    age = more if b"Max" in more else b""
    end = more if b"Secure" in more else b""
    assert (
        line
        == (b"Set-Cookie: s=" + TOKEN + b"; Path=/w/1" + age + b"; HttpOnly; SameSite=Lax" + end)
        + b"\r\n"
    )


@given(name=VISIBLE.filter(lambda n: not set(n) & set(b'=;,"(')))
def test_a_cookie_that_was_set_is_found_again(name):
    line = set_cookie(name, TOKEN, path=b"/", ttl_s=None, secure=False)
    pair = line.partition(b": ")[2].partition(b";")[0]
    assert cookie_value([b"Cookie: (=1; " + pair], name) == TOKEN


# ---- headers


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        pytest.param([b"Mcp-Session-Id: a"], b"Mcp-Session-Id: a", id="any-case"),
        pytest.param([b"A: b", b"mcp-session-id:a"], b"mcp-session-id:a", id="second"),
        pytest.param([b"Mcp-Session-Ids: a", b"Mcp-Session: a"], None, id="longer-and-shorter"),
        pytest.param([], None, id="none"),
    ],
)
def test_headers_are_found_by_their_whole_name(lines, expected):
    assert header_line(lines, b"mcp-session-id") == expected


def test_a_value_has_no_white_space_around_it():
    assert value_of(b"A:\t b:c ") == b"b:c"


@given(value=VISIBLE)
def test_what_the_application_said_comes_back_to_it(value):
    assert split_suffix(with_suffix(value, TOKEN)) == (value, TOKEN)


@given(value=VISIBLE)
def test_two_gateways_in_a_row_each_take_their_own_suffix_off(value):
    other = token_of("other")
    once, token = split_suffix(with_suffix(with_suffix(value, other), TOKEN))
    assert (split_suffix(once), token) == ((value, other), TOKEN)


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"plain", id="short"),
        pytest.param(b"x" * 40, id="long"),
        pytest.param(b"!tg" + TOKEN, id="nothing-before-the-suffix"),
        pytest.param(b"a!tg" + TOKEN[:-1] + b"g", id="no-hexadecimal-digits"),
        pytest.param(b"a!tG" + TOKEN, id="another-mark"),
    ],
)
def test_what_is_not_from_us_stays(value):
    assert split_suffix(value) == (value, None)


# ---- names that clients make up

TOKENS = [token_of(f"replica {n}") for n in range(8)]


@given(name=st.binary(max_size=40), count=st.integers(1, 7))
def test_a_new_replica_takes_sessions_over_but_moves_none_between_the_others(name, count):
    before = rendezvous(digest(name), TOKENS[:count])
    after = rendezvous(digest(name), TOKENS[: count + 1])
    assert after in {before, TOKENS[count]}


@given(name=st.binary(max_size=40), gone=st.integers(0, 7))
def test_only_sessions_of_a_replica_that_goes_move(name, gone):
    before = rendezvous(digest(name), TOKENS)
    left = [token for token in TOKENS if token != TOKENS[gone]]
    after = rendezvous(digest(name), left)
    assert after == before or before == TOKENS[gone]


def test_the_order_of_replicas_does_not_matter():
    key = digest(b"a session")
    assert rendezvous(key, TOKENS) == rendezvous(key, TOKENS[::-1])


def test_sessions_spread_evenly():
    landed = [rendezvous(digest(b"%d" % n), TOKENS) for n in range(4000)]
    for token in TOKENS:
        assert landed.count(token) == pytest.approx(500, rel=0.2)


def test_without_a_replica_there_is_no_choice():
    assert rendezvous(digest(b"x"), []) is None


def test_fractions_are_spread_over_the_unit_interval():
    values = [fraction(digest(b"%d" % n)) for n in range(2000)]
    assert 0 <= min(values) < 0.01
    assert 0.99 < max(values) < 1
    assert sum(values) / 2000 == pytest.approx(0.5, abs=0.03)


# ---- memory


def test_a_session_stays_where_it_was_answered_last():
    bindings = Bindings(None)
    key = digest(b"s")
    assert bindings.find(key, 0.0) is None
    bindings.keep(key, TOKENS[0], 0.0)
    bindings.keep(key, TOKENS[1], 1.0)
    assert bindings.find(key, 1e9) == TOKENS[1]


def test_a_session_is_forgotten_when_it_was_not_used_for_its_time():
    bindings = Bindings(60.0)
    bindings.keep(digest(b"s"), TOKENS[0], 0.0)
    assert bindings.find(digest(b"s"), 60.0) == TOKENS[0]
    bindings.keep(digest(b"s"), TOKENS[0], 60.0)
    assert bindings.find(digest(b"s"), 120.0) == TOKENS[0]
    assert bindings.find(digest(b"s"), 120.1) is None


def test_old_sessions_make_way_though_nobody_asks_for_them():
    bindings = Bindings(60.0)
    for second in range(1000):
        bindings.keep(digest(b"%d" % second), TOKENS[0], float(second))
    assert len(bindings) == 61


def test_memory_is_bounded_and_the_longest_unused_go_first():
    bindings = Bindings(None)
    for number in range(MAX_BINDINGS):
        bindings.keep(digest(b"%d" % number), TOKENS[0], 0.0)
    bindings.keep(digest(b"0"), TOKENS[0], 0.0)
    bindings.keep(digest(b"one more"), TOKENS[0], 0.0)
    assert len(bindings) == MAX_BINDINGS
    assert bindings.find(digest(b"0"), 0.0) == TOKENS[0]
    assert bindings.find(digest(b"1"), 0.0) is None
