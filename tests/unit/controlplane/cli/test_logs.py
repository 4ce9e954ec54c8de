from typing import Any

import httpx2
import pytest

from controlplane.cli.client import Api
from controlplane.cli.credentials import Credentials
from controlplane.cli.errors import CliError
from controlplane.cli.logs import _level, _Printer, fetch


def entry(second: int, message: str, **fields: Any) -> dict[str, Any]:
    told = {
        "timestamp": f"2026-01-31T10:00:{second:02}.500000+00:00",
        "level": "info",
        "message": message,
        "stacktrace": None,
        "resource": {"replica_id": "65f000000000000000000a01"},
    }
    return told | fields


class Server:
    """Answers with its entries, newest first, in pages with links."""

    def __init__(self, count: int) -> None:
        self.entries = [entry(number % 60, str(number)) for number in range(count)][::-1]
        self.asked: list[dict[str, str]] = []

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        query = dict(request.url.params)
        self.asked.append(query)
        offset, limit = int(query.get("offset", 0)), int(query["limit"])
        data = self.entries[offset : offset + limit]
        more = offset + limit < len(self.entries)
        link = f"http://api/api/v2/logs/?offset={offset + limit}&limit={limit}&endTime=fixed"
        return httpx2.Response(
            200, json={"count": len(data), "next": link if more else None, "data": data}
        )

    def api(self) -> Api:
        return Api(Credentials(url="http://api", token="t"), transport=httpx2.MockTransport(self))


@pytest.mark.parametrize(
    ("limit", "first", "requests"),
    [(3, "2497", 1), (1000, "1500", 1), (2100, "400", 3), (None, "0", 3), (0, None, 0)],
)
def test_the_newest_entries_come_oldest_first_page_by_page(limit, first, requests):
    server = Server(2500)
    with server.api() as api:
        found = fetch(api, "logs/", {"level": "debug"}, limit=limit)
    assert [item["message"] for item in found[:1]] == ([first] if first else [])
    assert len(found) == (2500 if limit is None else limit)
    assert len(server.asked) == requests
    assert all(query["endTime"] == "fixed" for query in server.asked[1:])


def test_lines_show_time_level_and_message(capsys, monkeypatch):
    printer = _Printer(prefix=False, as_json=False)
    printer.print([entry(1, "started"), entry(2, "failed", level="error", stacktrace="Trace")])
    out = capsys.readouterr().out.splitlines()
    assert out[0].endswith(":01.500  info      started")
    assert out[1].endswith(":02.500  error     failed")
    assert out[2] == "Trace"


def test_polls_overlap_and_nothing_is_printed_twice(capsys):
    printer = _Printer(prefix=True, as_json=False)
    assert printer.from_here() == {}
    printer.print([entry(10, "a"), entry(11, "b")])
    assert printer.from_here() == {"startTime": "2026-01-31T10:00:01.500000+00:00"}
    late = entry(9, "late")
    other = entry(10, "a", resource={"replica_id": "65f000000000000000000a02"})
    printer.print([late, entry(10, "a"), other, entry(11, "b"), entry(12, "c")])
    shown = [line.split()[-1] for line in capsys.readouterr().out.splitlines()]
    assert shown == ["a", "b", "late", "a", "c"]


def test_json_is_one_entry_per_line(capsys):
    _Printer(prefix=False, as_json=True).print([entry(1, "a\nb")])
    assert len(capsys.readouterr().out.splitlines()) == 1


def test_levels_are_checked_before_anybody_is_asked():
    assert _level("WARN") == "warning"
    with pytest.raises(CliError, match="no level"):
        _level("loud")
