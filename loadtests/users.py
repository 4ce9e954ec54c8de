"""What simulated users do: JSON requests, streams, WebSockets, or a mixture.

Every request is measured from the moment it was to be sent. With an open loop that is when it was
due, however late a user was free for it; the difference is recorded as lateness.
"""

import ssl
import time
from collections.abc import Mapping
from typing import ClassVar

import websocket
from locust import FastHttpUser, task
from locust.contrib.fasthttp import FAILURE_EXCEPTIONS, ResponseContextManager
from locust.exception import CatchResponseError

from loadtests.answers import cold_ms, error_code, lost_code
from loadtests.arrivals import Arrival
from loadtests.run import Run

_UNKNOWN_TOKENS = 64
_NOT_BEGUN_S = 0.02
_FOREVER_S = 1e6


class GatewayUser(FastHttpUser):
    """One user: one request at a time on keep-alive connections of its own."""

    abstract = True
    run_of_all: ClassVar[Run]
    """Set before the first user is made."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        run = self.run_of_all
        self.default_headers = {**_credentials(run), **run.plan.calls.headers}
        self.network_timeout = self.connection_timeout = run.plan.calls.timeout_s
        self.insecure = run.plan.calls.insecure
        self._arrival: Arrival | None = None
        self._due_s = 0.0
        super().__init__(*args, **kwargs)

    # -- whose turn it is

    def wait_time(self) -> float:
        """Seconds until this user's next request is due.

        locust ends users that wait at once, those that work when they are done: waiting for what is
        due must happen here.
        """
        run = self.run_of_all
        self._arrival = None
        if not run.is_open:
            return run.plan.calls.think_s
        if run.began_s is None:
            return _NOT_BEGUN_S
        self._arrival = run.next_arrival()
        if self._arrival is None:
            return _FOREVER_S
        self._due_s = run.began_s + self._arrival.at_s
        return max(0.0, self._due_s - time.perf_counter())

    def may_begin(self) -> bool:
        """Whether a request is due now; counts it."""
        run = self.run_of_all
        now_s = time.perf_counter()
        if not run.is_open:
            self._due_s = now_s
        elif self._arrival is None:
            return False
        else:
            run.recorder.was_late(run.now_s(), (now_s - self._due_s) * 1000)
        run.recorder.started += 1
        return True

    # -- JSON

    def call_json(self) -> None:
        """One request, one whole answer."""
        calls = self.run_of_all.plan.calls
        body = self._filled(calls.body)
        with self._send(calls.method, calls.json_path, body) as response:
            self._judge(response)

    # -- streams

    def call_stream(self) -> None:
        """One stream of pieces: lines that are not empty, and of server-sent events the data."""
        calls = self.run_of_all.plan.calls
        body = self._filled(calls.stream_body)
        method = "POST" if body else "GET"
        with self._send(method, calls.stream_path, body, stream=True) as response:
            lost = None
            try:
                if response.status_code < 400:
                    self._read_pieces(response)
                else:
                    _ = response.content  # else the connection cannot be used again
            except FAILURE_EXCEPTIONS as exc:
                lost = lost_code(exc)
            self._judge(response, lost)

    def _read_pieces(self, response: ResponseContextManager) -> None:
        name = response.request_meta["name"]
        headers: Mapping[str, object] = response.headers or {}
        is_sse = "event-stream" in str(headers.get("content-type", ""))
        last_s, size = None, 0
        while line := response.stream.readline(b"\n"):
            size += len(line)
            if not line.strip() or (is_sse and not line.startswith(b"data:")):
                continue
            now_s = time.perf_counter()
            if last_s is None:
                self._report("FIRST", name, self._due_s)
            else:
                self._report("GAP", name, last_s)
            last_s = now_s
        size += len(response.stream.read())  # after the last line's end
        response.request_meta["response_length"] = size

    # -- WebSockets

    def call_websocket(self) -> None:
        """Open one, wait for the echo of one message after the other, close it."""
        calls = self.run_of_all.plan.calls
        name, error, size = calls.ws_path, None, 0
        run = self.run_of_all
        url = run.target.url.replace("http", "ws", 1) + self._filled(calls.ws_path)
        checks = {"cert_reqs": ssl.CERT_NONE, "check_hostname": False} if calls.insecure else {}
        opened: websocket.WebSocket | None = None
        try:
            opened = websocket.create_connection(
                url,
                timeout=calls.timeout_s,
                header=[f"{key}: {value}" for key, value in (self.default_headers or {}).items()],
                sslopt=checks,
                http_no_proxy=["*"],
            )
            self._report("OPEN", name, self._due_s)
            for number in range(calls.ws_messages):
                sent_s = time.perf_counter()
                payload = f"{number:<{calls.ws_bytes}}"[: calls.ws_bytes].encode()
                opened.send_binary(payload)
                answer = opened.recv()
                size += len(answer)
                if answer != payload:
                    error = "wrong echo"
                    break
                self._report("ECHO", name, sent_s)
            opened.close(timeout=calls.timeout_s)
        except websocket.WebSocketBadStatusException as exc:
            error = error_code(exc.status_code, _Headers(exc.resp_headers or {}))
        except (websocket.WebSocketException, OSError) as exc:
            error = lost_code(exc)
        finally:
            if opened is not None:
                opened.shutdown()  # type: ignore[no-untyped-call]
        self._report("WS", name, self._due_s, size=size, error=error)

    # -- what all of them need

    def _filled(self, text: str) -> str:
        arrival = self._arrival
        context = arrival.context_tokens if arrival else None
        generated = arrival.generated_tokens if arrival else None
        for name, value in (("{context}", context), ("{generated}", generated)):
            text = text.replace(name, str(_UNKNOWN_TOKENS if value is None else value))
        return text

    def _send(
        self, method: str, path: str, body: str, *, stream: bool = False
    ) -> ResponseContextManager:
        headers = {"Accept-Encoding": "identity"}
        if body:
            headers["Content-Type"] = "application/json"
        return self.client.request(
            method,
            self._filled(path),
            name=path,
            data=body or None,
            headers=headers,
            stream=stream,
            catch_response=True,
            allow_redirects=False,
        )

    def _judge(self, response: ResponseContextManager, lost: str | None = None) -> None:
        """Measure from the due moment, and name the error if there is one."""
        meta, run = response.request_meta, self.run_of_all
        meta["response_time"] = (time.perf_counter() - self._due_s) * 1000
        headers: Mapping[str, object] = response.headers or {}
        error = lost
        if not response.status_code:
            error = lost_code(meta["exception"])
        elif error is None:
            error = error_code(response.status_code, headers)
            if error is None and meta["exception"] is not None:
                error = lost_code(meta["exception"])  # the head came, the body did not
        held_ms = cold_ms(headers)
        if held_ms is not None:
            run.recorder.was_cold(run.now_s(), held_ms)
        if error is None:
            response.success()  # type: ignore[no-untyped-call]
        else:
            response.failure(error)  # type: ignore[no-untyped-call]

    def _report(
        self, kind: str, name: str, since_s: float, *, size: int = 0, error: str | None = None
    ) -> None:
        self.environment.events.request.fire(
            request_type=kind,
            name=name,
            response_time=(time.perf_counter() - since_s) * 1000,
            response_length=size,
            exception=None if error is None else CatchResponseError(error),
            context={},
        )


class JsonUser(GatewayUser):
    """Sends JSON requests (--json-path, --method, --body)."""

    @task
    def act(self) -> None:
        """One request."""
        if self.may_begin():
            self.call_json()


class StreamUser(GatewayUser):
    """Reads token streams (--stream-path, --stream-body)."""

    @task
    def act(self) -> None:
        """One stream."""
        if self.may_begin():
            self.call_stream()


class WebSocketUser(GatewayUser):
    """Opens WebSockets that echo (--ws-path, --ws-messages, --ws-bytes)."""

    @task
    def act(self) -> None:
        """One WebSocket."""
        if self.may_begin():
            self.call_websocket()


class MixedUser(GatewayUser):
    """Does all of it, as --mix weighs it."""

    @task
    def act(self) -> None:
        """One request of any kind."""
        if self.may_begin():
            mix = self.run_of_all.plan.calls.mix
            (chosen,) = self.run_of_all.rng.choices(list(mix), list(mix.values()))
            {
                "json": self.call_json,
                "stream": self.call_stream,
                "websocket": self.call_websocket,
            }[chosen]()


class _Headers(dict[str, object]):
    """The headers of a refused handshake, whose names are in lower case."""

    def get(self, key: str, default: object = None) -> object:
        return super().get(key.lower(), default)


def _credentials(run: Run) -> Mapping[str, str]:
    return {} if run.target.token is None else {"Authorization": f"Bearer {run.target.token}"}
