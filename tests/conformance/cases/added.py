"""What a proxy adds or answers by itself: Via, Date, Max-Forwards, where a request came from."""

import re

from tests.conformance.cases.building import answer, fixed, request, response, sent
from tests.conformance.messages import Message
from tests.conformance.script import PASS, Group, Transcript, Verdict, fail
from tests.conformance.verdicts import (
    AFTER,
    CASE,
    Look,
    clean,
    either,
    every,
    finals,
    forwarded,
    readable,
    received,
    refused,
    relayed,
    wanted,
    went_through,
)

ASKED = (CASE, AFTER)
_FORWARDED = re.compile(rb'(?:[A-Za-z]+=(?:[!#$%&\'*+\-.^_`|~0-9A-Za-z]+|"[^"]*")[;,]? ?)+')


def _via(*received_by: bytes) -> Look:
    """The last elements of Via begin with these protocols."""

    def look(message: Message) -> str:
        found = [e.removeprefix(b"http/").partition(b" ")[0] for e in message.list("via")]
        if found[-len(received_by) :] == list(received_by):
            return ""
        return f"Via is {b', '.join(message.all('via')).decode('latin-1') or 'missing'}"

    return look


def _via_order(message: Message) -> str:
    found = message.list("via")
    return "" if found[:1] == [b"1.0 first"] else "the client's Via is gone or not in front"


def _date(message: Message) -> str:
    return "" if len(message.all("date")) == 1 else f"{len(message.all('date'))} Date lines"


def _own_date(seen: Transcript) -> Verdict:
    answers, _ = finals(seen)
    if answers and 400 <= answers[0].status < 500 and not answers[0].all("date"):
        return fail(f"{answers[0].status} without Date")
    return PASS


def _challenge(seen: Transcript) -> Verdict:
    answers, _ = finals(seen)
    if answers and answers[0].status == 401 and not answers[0].all("www-authenticate"):
        return fail("401 without WWW-Authenticate")
    return every(clean, readable, went_through)(seen)


def _stops_here(seen: Transcript) -> Verdict:
    asked = [m for m in received(seen) if m.target != AFTER]
    return fail("it went on to the origin") if asked else every(clean, readable, went_through)(seen)


def _counted_down(message: Message) -> str:
    found = message.all("max-forwards")
    return "" if found == [b"4"] else f"Max-Forwards is {b', '.join(found).decode() or 'gone'}"


def _last_hop(message: Message) -> str:
    hops = message.list("x-forwarded-for")
    return "a stranger's X-Forwarded-For was believed" if hops[-1:] == [b"6.6.6.6"] else ""


def _no_stranger(name: str, mark: bytes) -> Look:
    def look(message: Message) -> str:
        told = any(mark in value for value in message.all(name))
        return f"a stranger's {name} was believed" if told else ""

    return look


def _grammar(message: Message) -> str:
    broken = [v for v in message.all("forwarded") if _FORWARDED.fullmatch(v) is None]
    return f"Forwarded is {broken[0].decode('latin-1')}" if broken else ""


def _no_version(message: Message) -> str:
    return "Via names the wrong protocol" if message.all("via") else ""


def _cookies(message: Message) -> str:
    found = message.all("set-cookie")
    return "" if found == [b"a=1, b", b"c=2"] else f"Set-Cookie is {found}"


ADDED = Group(
    name="Via, Date, Forwarded, Max-Forwards",
    rule="The proxy says that it was there, and does not repeat what strangers say about that.",
    cases=(
        sent(
            "add-via", "9110 7.6.3", "Via in every request that goes on",
            request(), forwarded(*ASKED, looks=(_via(b"1.1"),)),
        ),
        sent(
            "add-via-kept", "9110 7.6.3", "a Via that came stays in front",
            request(b"Via: 1.0 first"), forwarded(*ASKED, looks=(_via_order,)),
        ),
        sent(
            "add-via-1.0", "9110 7.6.3", "Via tells the protocol that the client spoke",
            request(b"Connection: close", version=b"HTTP/1.0"),
            wanted(forwarded(CASE, looks=(_via(b"1.0"),)),
                   legal=either(forwarded(CASE, looks=(_no_version,)), refused(426, 505))),
            answers=1,
        ),
        response(
            "add-date", "9110 6.6.1", "Date in a response that came without",
            fixed(b"ok"), relayed(200, b"ok", looks=(_date,)),
        ),
        response(
            "add-date-one", "9110 6.6.1", "one Date in a response that came with one",
            fixed(b"ok", b"Date: Sun, 06 Nov 1994 08:49:37 GMT"),
            relayed(200, b"ok", looks=(_date,)),
        ),
        sent(
            "add-own-date", "9110 6.6.1", "Date in the proxy's own 4xx",
            request(host=None), every(_own_date, went_through),
        ),
        sent(
            "add-own-challenge", "9110 15.5.2", "WWW-Authenticate in the proxy's own 401",
            request().replace(b"{A}", b""), _challenge,
        ),
        sent(
            "add-max-forwards-0", "9110 7.6.2", "OPTIONS with Max-Forwards: 0 ends here",
            request(b"Max-Forwards: 0", method=b"OPTIONS"), _stops_here,
        ),
        sent(
            "add-max-forwards-5", "9110 7.6.2", "Max-Forwards: 5 goes on as 4",
            request(b"Max-Forwards: 5", method=b"OPTIONS"),
            either(refused(), forwarded(*ASKED, looks=(_counted_down,))),
        ),
        sent(
            "add-forwarded-for", "7239 8.1", "X-Forwarded-For ends with the real client",
            request(b"X-Forwarded-For: 6.6.6.6"), forwarded(*ASKED, looks=(_last_hop,)),
        ),
        sent(
            "add-forwarded-host", "7239 8.1", "a stranger's X-Forwarded-Host is dropped",
            request(b"X-Forwarded-Host: evil.example"),
            wanted(
                forwarded(*ASKED, looks=(_no_stranger("x-forwarded-host", b"evil"),)),
                legal=forwarded(*ASKED),
            ),
        ),
        sent(
            "add-forwarded-proto", "7239 8.1", "a stranger's X-Forwarded-Proto is dropped",
            request(b"X-Forwarded-Proto: evil"),
            wanted(
                forwarded(*ASKED, looks=(_no_stranger("x-forwarded-proto", b"evil"),)),
                legal=forwarded(*ASKED),
            ),
        ),
        sent(
            "add-forwarded", "7239 8.1", "a stranger's Forwarded is dropped",
            request(b"Forwarded: for=6.6.6.6"),
            wanted(
                forwarded(*ASKED, looks=(_no_stranger("forwarded", b"6.6.6.6"),)),
                legal=forwarded(*ASKED),
            ),
        ),
        sent(
            "add-forwarded-grammar", "7239 4", "a Forwarded that is sent is well formed",
            request(), forwarded(*ASKED, looks=(_grammar,)),
        ),
        response(
            "add-set-cookie", "9110 5.3", "Set-Cookie lines are neither joined nor reordered",
            answer(b"Set-Cookie: a=1, b", b"Content-Length: 2", b"Set-Cookie: c=2", body=b"ok"),
            relayed(200, b"ok", looks=(_cookies,)),
        ),
    ),
)  # fmt: skip

GROUPS = (ADDED,)
