"""Judges: pure functions from a transcript to a verdict, and ways to combine them.

For what is ambiguous two outcomes are right: refused, or forwarded as one unambiguous message. It
is wrong to forward two, or one that another strict reader reads differently, and never may a
request hidden in another one's bytes (`/hidden`) reach the origin.
"""

from collections.abc import Callable
from functools import lru_cache

from tests.conformance.messages import Message, Reading, read_requests, read_responses
from tests.conformance.script import PASS, Check, Grade, Transcript, Verdict, fail

Look = Callable[[Message], str]
"""Looks at one message; says what is wrong with it, or nothing."""

CASE = b"/case"
AFTER = b"/after"
HIDDEN = b"/hidden"

_ORDER = (Grade.PASS, Grade.DIFFERS, Grade.FAIL)


def _told(reason: str) -> Verdict:
    return fail(reason) if reason else PASS


# ---- ways to combine


def every(*checks: Check) -> Check:
    """The worst of several."""

    def check(seen: Transcript) -> Verdict:
        return max((one(seen) for one in checks), key=lambda v: _ORDER.index(v.grade))

    return check


def either(*checks: Check) -> Check:
    """The best of several; the reason is that of the last."""

    def check(seen: Transcript) -> Verdict:
        found = [one(seen) for one in checks]
        best = min(found, key=lambda v: _ORDER.index(v.grade))
        return (
            best
            if best.grade is not Grade.FAIL
            else fail(" / ".join(dict.fromkeys(v.reason for v in found)))
        )

    return check


def wanted(check: Check, *, legal: Check) -> Check:
    """A feature: passes when it is there; differs when what happens instead is legal."""

    def judge(seen: Transcript) -> Verdict:
        found = check(seen)
        if found.grade is Grade.PASS:
            return found
        instead = legal(seen)
        return Verdict(Grade.DIFFERS, found.reason) if instead.grade is Grade.PASS else instead

    return judge


# ---- what the origin received


@lru_cache(maxsize=4096)
def _requests(stream: bytes) -> Reading:
    return read_requests(stream)


def received(seen: Transcript) -> list[Message]:
    """All requests that reached the origin, whole or not."""
    return [message for stream in seen.origin for message in _requests(stream).messages]


def clean(seen: Transcript) -> Verdict:
    """Every byte that reached the origin belongs to an unambiguous request."""
    for stream in seen.origin:
        fault = _requests(stream).fault
        if fault:
            return fail(f"origin received: {fault}")
    return PASS


def untouched(seen: Transcript) -> Verdict:
    """No whole request reached the origin, but for `/after`; what did reach it was clean."""
    whole = [m for m in received(seen) if m.complete and m.target != AFTER]
    if whole:
        return fail(f"origin received `{_text(whole[0].first)}`")
    return clean(seen)


# ---- what the client received


def finals(seen: Transcript) -> tuple[list[Message], str]:
    """The final answers, and what is wrong with the bytes that carried them."""
    reading = read_responses(seen.client, seen.methods, ended=seen.client_end == "eof")
    return [m for m in reading.messages if m.status >= 200 or not m.complete], reading.fault


def readable(seen: Transcript) -> Verdict:
    """Every byte that the client received belongs to an unambiguous answer."""
    fault = finals(seen)[1]
    return _told(f"client received: {fault}" if fault else "")


def closed(seen: Transcript) -> Verdict:
    """The proxy ended the client's connection."""
    return _told("the connection stays open" if seen.client_end == "open" else "")


def went_through(seen: Transcript) -> Verdict:
    """The client did not wait in vain."""
    return _told(f"no {seen.stalled} in time" if seen.stalled else "")


# ---- requests


def refused(*statuses: int, closes: bool = False) -> Check:
    """Answered with an error, or cut, and nothing of it reached the origin as a whole request.

    Args:
        statuses: The only ones that are right, where the RFC names them; then an answer must come.
        closes: The connection must end, for nobody knows where the next request begins.
    """

    def check(seen: Transcript) -> Verdict:
        for verdict in (untouched(seen), readable(seen)):
            if verdict is not PASS:
                return verdict
        found, _ = finals(seen)
        if not found:
            if statuses:
                return fail(f"no answer (connection {seen.client_end}), not {_any(statuses)}")
            return _told("no answer, and no end" if seen.client_end == "open" else "")
        status = found[0].status
        if status not in statuses if statuses else status < 400:
            return fail(f"answered {status}, not {_any(statuses or (400,))}")
        return closed(seen) if closes else went_through(seen)

    return check


def forwarded(
    *targets: bytes,
    body: bytes | None = None,
    looks: tuple[Look, ...] = (),
    closes: bool = False,
    same: Callable[[bytes], bytes] = bytes,
) -> Check:
    """Forwarded as unambiguous requests, each answered with its own answer, in order.

    Args:
        targets: What the origin must see, in the client's order; `/case` alone when empty.
        body: Body of the first one.
        looks: What else must be right with the first one.
        closes: The connection must end after the answers.
        same: Brings targets that mean the same to one form.
    """
    expected = [same(target) for target in targets or (CASE,)]

    def check(seen: Transcript) -> Verdict:
        for one in (clean, readable, went_through):
            if one(seen) is not PASS:
                return one(seen)
        messages = received(seen)
        got = [same(m.target) for m in messages if m.complete]
        if sorted(got) != sorted(expected):
            return fail(f"origin received {_texts(got)}, not {_texts(expected)}{_answered(seen)}")
        first = messages[got.index(expected[0])]
        if body is not None and first.body != body:
            return fail(f"origin received the body `{_text(first.body)}`, not `{_text(body)}`")
        faults = [fault for look in looks if (fault := look(first))]
        if faults:
            return fail("; ".join(faults))
        answers, _ = finals(seen)
        told = [same(m.body) if m.status == 200 else b"%d" % m.status for m in answers]
        if "HEAD" not in seen.methods and told != expected:
            return fail(f"client received the answers {_texts(told)}")
        return closed(seen) if closes else PASS

    return check


def one_message(
    *,
    body: bytes | None = None,
    looks: tuple[Look, ...] = (),
    closes: bool = False,
    after: bool = True,
) -> Check:
    """Refused, or `/case` forwarded as one unambiguous message; `/hidden` never.

    Args:
        body: The only body that is right when it is forwarded.
        looks: What else must be right when it is forwarded.
        closes: The connection must end in either case.
        after: The client sent `/after` behind it, which may be served or not.
    """
    alone = forwarded(body=body, looks=looks, closes=closes)
    both = forwarded(CASE, AFTER, body=body, looks=looks, closes=closes)

    def check(seen: Transcript) -> Verdict:
        targets = [m.target for m in received(seen)]
        if any(HIDDEN in target for target in targets):
            return fail("the hidden request reached the origin")
        if CASE in targets and any(m.target == CASE and m.complete for m in received(seen)):
            return (both if after and AFTER in targets else alone)(seen)
        return refused(closes=closes)(seen)

    return check


def once(target: bytes) -> Check:
    """This request reached the origin exactly once, or not at all."""

    def check(seen: Transcript) -> Verdict:
        count = sum(m.target == target for m in received(seen))
        return _told(f"{_text(target)} was sent {count} times" if count > 1 else "")

    return check


# ---- looks at one message


def lacks(*names: str) -> Look:
    """No line with any of these names."""

    def look(message: Message) -> str:
        found = [name for name in names if message.all(name)]
        return f"has {', '.join(found)}" if found else ""

    return look


def has(name: str, *values: bytes) -> Look:
    """The lines with this name have these values, in this order; combined ones count as such."""

    def look(message: Message) -> str:
        found = message.all(name)
        if b", ".join(found).replace(b",  ", b", ") == b", ".join(values) and found:
            return ""
        return f"{name} is {_texts(found) or 'missing'}, not {_texts(values)}"

    return look


def starts(first: bytes) -> Look:
    """The first line begins like this."""

    def look(message: Message) -> str:
        return "" if message.first.startswith(first) else f"begins `{_text(message.first)}`"

    return look


# ---- responses


def relayed(
    status: int = 200,
    body: bytes | None = None,
    *,
    looks: tuple[Look, ...] = (),
    at: int = 0,
    closes: bool = False,
) -> Check:
    """The client received this answer, whole and unambiguous.

    Args:
        status: Its status.
        body: Its body.
        looks: What else must be right with it.
        at: Which one of the final answers.
        closes: The connection must end after it.
    """

    def check(seen: Transcript) -> Verdict:
        answers, fault = finals(seen)
        if fault:
            return fail(f"client received: {fault}")
        if len(answers) <= at:
            return fail(f"no {_nth(at)}answer (connection {seen.client_end})")
        reason = _unlike(answers[at], status, body, at) or "; ".join(
            found for look in looks if (found := look(answers[at]))
        )
        return closed(seen) if closes and not reason else _told(reason)

    return check


def _unlike(answer: Message, status: int, body: bytes | None, at: int) -> str:
    if not answer.complete:
        return f"the {_nth(at)}answer is not whole"
    if answer.status != status:
        return f"the {_nth(at)}answer is {answer.status}, not {status}"
    if body is not None and answer.body != body:
        return f"the {_nth(at)}body is `{_text(answer.body)}`, not `{_text(body)}`"
    return ""


def cut(seen: Transcript) -> Verdict:
    """The client cannot take the first answer for a whole success: an error, or visibly cut."""
    answers, fault = finals(seen)
    if answers and answers[0].complete and answers[0].status < 400:
        return fail(f"a broken answer came as a whole {answers[0].status}")
    if answers and answers[0].complete:
        return readable(seen)
    if fault and not seen.client:
        return fail(fault)
    return closed(seen)


def bad_gateway(seen: Transcript) -> Verdict:
    """The answer was discarded: a 5xx of the proxy's own, or none at all."""
    answers, fault = finals(seen)
    if fault:
        return fail(f"client received: {fault}")
    if not answers:
        return closed(seen)
    return _told(f"answered {answers[0].status}" if answers[0].status < 500 else "")


def interims(*statuses: int) -> Check:
    """These 1xx answers came before the first final one, in this order."""

    def check(seen: Transcript) -> Verdict:
        reading = read_responses(seen.client, seen.methods, ended=seen.client_end == "eof")
        found = []
        for message in reading.messages:
            if message.status >= 200:
                break
            found.append(message.status)
        return _told("" if found == list(statuses) else f"interim answers {found}")

    return check


def tunnelled(to_client: bytes, to_origin: bytes) -> Check:
    """Behind a 101 these bytes passed."""

    def check(seen: Transcript) -> Verdict:
        reading = read_responses(seen.client, seen.methods, ended=seen.client_end == "eof")
        if not reading.messages or reading.messages[-1].status != 101:
            answers = [m.status for m in reading.messages]
            return fail(f"no 101, but {answers or seen.client_end}")
        if reading.tunnel != to_client:
            return fail(f"the client received `{_text(reading.tunnel)}`")
        if not any(stream.endswith(b"\r\n\r\n" + to_origin) for stream in seen.origin):
            return fail("the origin received something else")
        return went_through(seen)

    return check


# ---- words


def _text(data: bytes) -> str:
    return repr(data[:48])[2:-1] + ("..." if len(data) > 48 else "")


def _texts(found: list[bytes] | tuple[bytes, ...]) -> str:
    return ", ".join(f"`{_text(one)}`" for one in found) or "nothing"


def _any(statuses: tuple[int, ...]) -> str:
    return " or ".join(map(str, statuses))


def _nth(at: int) -> str:
    return ("", "second ", "third ")[at] if at < 3 else f"{at + 1}th "


def _answered(seen: Transcript) -> str:
    answers, _ = finals(seen)
    return f" (answered {', '.join(str(m.status) for m in answers)})" if answers else ""
