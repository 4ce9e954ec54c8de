"""Session affinity on the wire: which replica a request is bound to, and what its answer says."""

from typing import TYPE_CHECKING

from controlplane.model.traffic import Affinity, AffinityKind
from gateway.core import affinity
from gateway.core.balancing import by_weight
from gateway.core.messages import RequestHead, ResponseHead
from gateway.core.routing import DEPLOYMENTS, WORKLOADS, Target

if TYPE_CHECKING:
    from gateway.net.endpoints import Endpoint, ProtonRoute
    from gateway.net.flow import Exchange


class Sessions:
    """How sessions of one workload are told apart, and those that only this worker knows."""

    __slots__ = ("_header", "_name", "bindings", "rule")

    def __init__(self, rule: Affinity) -> None:
        self.rule = rule
        self._header = rule.kind is AffinityKind.HEADER
        self._name = rule.name.lower().encode() if self._header else rule.name.encode()
        self.bindings = affinity.Bindings(rule.ttl_s)

    def find(
        self, head: RequestHead, target: Target, protons: "tuple[ProtonRoute, ...]", now_s: float
    ) -> "Session":
        """The session that a request belongs to.

        Args:
            head: The request's.
            target: Its target.
            protons: Those that may serve it: the pinned one, or all of the workload.
            now_s: Monotonic clock.
        """
        session = Session(self)
        if not self._header:
            session.path = (DEPLOYMENTS if target.deployment else WORKLOADS) + target.id
            session.token = affinity.cookie_value(head.lines, self._name)
        else:
            line = affinity.header_line(head.lines, self._name)
            if line is not None and (value := affinity.value_of(line)):
                self._read(session, line, value, now_s)
        session.endpoint = _serving(session.token, protons, pinned=target.pin is not None)
        if session.endpoint is None and session.key is not None:
            session.endpoint = _chosen(session.key, protons)
        return session

    def _read(self, session: "Session", line: bytes, value: bytes, now_s: float) -> None:
        session.value, session.token = affinity.split_suffix(value)
        session.key = affinity.digest(session.value)
        if session.token is None:
            session.token = self.bindings.find(session.key, now_s)
        else:
            session.marked = line
        session.ours = session.marked is None

    def answered(self, exchange: "Exchange", head: ResponseHead, prefix: bytes) -> bytes:
        """A response's head with what keeps its session where it is."""
        session, endpoint = exchange.session, exchange.endpoint
        if session is None or endpoint is None:
            return prefix
        if not self._header:
            return prefix + self._cookie(exchange, session, endpoint)
        if session.ours and session.key is not None:
            now_s = exchange.dispatcher.worker.monotonic()
            self.bindings.keep(session.key, endpoint.token, now_s)
        line = affinity.header_line(head.lines, self._name)
        value = b"" if line is None else affinity.value_of(line)
        if line is None or not value or (session.ours and value == session.value):
            return prefix  # what the client made up goes back to it as it came
        name = line[: len(self._name)]
        marked = b"%b: %b" % (name, affinity.with_suffix(value, endpoint.token))
        return prefix.replace(b"\r\n%b\r\n" % line, b"\r\n%b\r\n" % marked, 1)

    def _cookie(self, exchange: "Exchange", session: "Session", endpoint: "Endpoint") -> bytes:
        if session.token == endpoint.token and self.rule.ttl_s is None:
            return b""
        return affinity.set_cookie(
            self._name,
            endpoint.token,
            path=session.path,
            ttl_s=self.rule.ttl_s,
            secure=exchange.client.tls,
        )


class Session:
    """One request's session.

    Attributes:
        sessions: The workload's.
        token: Of the replica that it is said to live on; None: nobody said.
        endpoint: That replica, or the one that its name chooses; None: any will do.
        key: Digest of its name, where a header names it.
        value: Its name as the application knows it.
        marked: The request's header line, where it has a suffix of ours.
        ours: The client made the name up: only this worker's memory holds it.
        path: Of its cookie.
    """

    __slots__ = ("endpoint", "key", "marked", "ours", "path", "sessions", "token", "value")

    def __init__(self, sessions: Sessions) -> None:
        self.sessions = sessions
        self.token: bytes | None = None
        self.endpoint: Endpoint | None = None
        self.key: bytes | None = None
        self.value = b""
        self.marked: bytes | None = None
        self.ours = False
        self.path = b""

    def stripped(self, outgoing: bytes) -> bytes:
        """A request's head without our suffix."""
        marked = self.marked
        if marked is None:
            return outgoing
        bare = marked[: marked.rindex(self.value) + len(self.value)]
        return outgoing.replace(b"\r\n%b\r\n" % marked, b"\r\n%b\r\n" % bare, 1)


def _serving(
    token: bytes | None, protons: "tuple[ProtonRoute, ...]", *, pinned: bool
) -> "Endpoint | None":
    """The endpoint that a token names, if it may get requests now.

    A proton without weight takes none but pinned ones: sessions leave it, as a rollback wants.
    """
    if token is not None:
        for proton in protons:
            endpoint = proton.by_token.get(token)
            if endpoint is not None and proton.refusal is None:
                return endpoint if proton.weight > 0 or pinned or len(protons) == 1 else None
    return None


def _chosen(key: bytes, protons: "tuple[ProtonRoute, ...]") -> "Endpoint | None":
    """The endpoint on which a session that nobody has bound yet lands, in every worker the same."""
    proton = by_weight(protons, lambda: affinity.fraction(key)) or protons[0]
    token = affinity.rendezvous(key, list(proton.by_token))
    return None if token is None else proton.by_token[token]
