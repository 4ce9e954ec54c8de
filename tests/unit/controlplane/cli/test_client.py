from collections.abc import Callable, Sequence

import httpx2
import pytest

from controlplane.cli.client import Api, ApiError, describe_detail
from controlplane.cli.credentials import Credentials
from controlplane.cli.errors import CliError, ExitCode

ID = "65f000000000000000000001"
OTHER = "65f000000000000000000002"


def api(answer: Callable[[httpx2.Request], httpx2.Response]) -> Api:
    return Api(Credentials(url="http://api", token="tg_x"), transport=httpx2.MockTransport(answer))


def listing(
    items: list[dict[str, object]], hidden: Sequence[dict[str, object]] = ()
) -> Callable[[httpx2.Request], httpx2.Response]:
    """A server with these workloads, which pages and searches as the API does."""

    def answer(request: httpx2.Request) -> httpx2.Response:
        one = request.url.path.removeprefix("/api/v2/workloads").strip("/")
        if one:
            found = [item for item in items if item["id"] == one]
            return (
                httpx2.Response(200, json=found[0])
                if found
                else httpx2.Response(404, json={"detail": "no such workload"})
            )
        query = request.url.params
        matching = [i for i in items if query.get("search", "") in str(i["name"])]
        offset, limit = int(query["offset"]), int(query["limit"])
        page = matching[offset : offset + limit]
        following = offset + limit
        more = f"http://api/next?offset={following}" if following < len(matching) else None
        shown = [item for item in page if item not in hidden]
        return httpx2.Response(200, json={"data": shown, "next": more})

    return answer


def workload(number: int, name: str) -> dict[str, object]:
    return {"id": f"{number:024x}", "name": name, "createdAt": "2026-01-01T00:00:00Z"}


def test_a_call_carries_the_token_and_returns_the_json():
    seen = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        seen.append(request)
        return httpx2.Response(201, json={"id": ID})

    with api(answer) as held:
        assert held.call("POST", "workloads", body={"name": "a"}) == {"id": ID}
    assert seen[0].url == "http://api/api/v2/workloads"
    assert seen[0].headers["Authorization"] == "Bearer tg_x"
    assert seen[0].content == b'{"name":"a"}'


def test_an_answer_without_a_body_is_none():
    with api(lambda _: httpx2.Response(204)) as held:
        assert held.call("DELETE", f"workloads/{ID}") is None


@pytest.mark.parametrize(
    ("status", "body", "message", "code"),
    [
        pytest.param(404, {"detail": "gone"}, "gone", ExitCode.NOT_FOUND, id="not-found"),
        pytest.param(401, {"message": "Invalid API key"}, "Invalid API key", ExitCode.FAILED,
                     id="the-edge-s-shape"),
        pytest.param(409, {"detail": "changed"}, "changed", ExitCode.FAILED, id="conflict"),
        pytest.param(
            422, {"detail": [{"loc": ["body", "runtime", 0], "msg": "too many", "type": "x"}]},
            "runtime.0: too many", ExitCode.FAILED, id="validation",
        ),
        pytest.param(500, None, "the API answered 500", ExitCode.FAILED, id="no-json"),
    ],
)  # fmt: skip
def test_refusals_are_told_in_the_api_s_words(status, body, message, code):
    with (
        api(
            lambda _: httpx2.Response(status, json=body) if body else httpx2.Response(status)
        ) as held,
        pytest.raises(ApiError) as caught,
    ):
        held.call("GET", "workloads")
    assert caught.value.message == message
    assert caught.value.code is code
    assert caught.value.status == status


def test_an_api_that_is_away_or_slow_or_something_else_is_told_apart():
    def away(_: httpx2.Request) -> httpx2.Response:
        raise httpx2.ConnectError("refused")

    def slow(_: httpx2.Request) -> httpx2.Response:
        raise httpx2.ReadTimeout("slow")

    for answer, words in (
        (away, "cannot reach the API"),
        (slow, "did not answer in time"),
        (lambda _: httpx2.Response(200, text="<html>"), "does not speak the API's JSON"),
    ):
        with api(answer) as held, pytest.raises(CliError, match=words):
            held.call("GET", "workloads")


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        pytest.param(None, 250, id="all"),
        pytest.param(120, 120, id="limited"),
        pytest.param(300, 250, id="fewer-than-asked-for"),
    ],
)
def test_pages_are_read_until_the_end_or_the_limit(limit, expected):
    items = [workload(number, f"w{number}") for number in range(250)]
    with api(listing(items)) as held:
        assert list(held.pages("workloads", limit=limit)) == items[:expected]


def test_items_that_a_page_cannot_show_end_nothing_and_repeat_nothing():
    items = [workload(number, f"w{number}") for number in range(250)]
    hidden = items[:100] + items[150:160]
    with api(listing(items, hidden)) as held:
        assert list(held.pages("workloads")) == [i for i in items if i not in hidden]


def test_a_workload_is_found_by_id_by_its_exact_name_or_not_at_all():
    items = [workload(1, "a"), workload(2, "ab"), workload(3, "a")]
    with api(listing(items)) as held:
        assert held.find("workloads", f"{2:024x}") == items[1]
        assert held.find("workloads", "ab") == items[1]
        with pytest.raises(CliError) as ambiguous:
            held.find("workloads", "a")
        assert f"{1:024x}" in ambiguous.value.hint
        assert f"{3:024x}" in ambiguous.value.hint
        for missing in ("b", OTHER):
            with pytest.raises(CliError) as caught:
                held.find("workloads", missing)
            assert caught.value.code is ExitCode.NOT_FOUND


def test_a_name_that_looks_like_an_id_is_found_as_a_name():
    items = [workload(1, OTHER)]
    with api(listing(items)) as held:
        assert held.find("workloads", OTHER) == items[0]


def test_a_refusal_while_looking_up_an_id_is_not_taken_for_absence():
    with (
        api(lambda _: httpx2.Response(403, json={"detail": "not yours"})) as held,
        pytest.raises(ApiError, match="not yours"),
    ):
        held.find("workloads", ID)


@pytest.mark.parametrize(
    ("detail", "expected"),
    [
        pytest.param("one", "one", id="sentence"),
        pytest.param(["a", "b"], "a; b", id="sentences"),
        pytest.param([{"msg": "no place"}], "no place", id="without-a-place"),
        pytest.param({"x": 1}, "{'x': 1}", id="anything-else"),
    ],
)
def test_details_of_every_shape_become_text(detail, expected):
    assert describe_detail(detail) == expected
