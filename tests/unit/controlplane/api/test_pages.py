import asyncio
import base64
from types import SimpleNamespace
from urllib.parse import parse_qs, urlsplit

import pytest
from fastapi.exceptions import RequestValidationError
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request

from controlplane.api.pages import (
    NAME_KEY_CHARS,
    STATUS_ORDER,
    Sorting,
    has_tag,
    importance_rank,
    matches,
    name_key,
    page_of,
    status_rank,
)
from controlplane.model.artifacts import Repository
from controlplane.model.kinds import Tag
from controlplane.model.states import Importance, ProtonState

SORTING = Sorting(keys={"name": lambda r: r.name, "createdAt": lambda r: r.created_at})


def test_every_state_has_a_place_in_the_order():
    assert sorted(STATUS_ORDER) == sorted(ProtonState)
    assert status_rank(ProtonState.STOPPED) < status_rank(ProtonState.RUNNING)
    assert status_rank(ProtonState.RUNNING) < status_rank(ProtonState.ERRORED)


def test_importance_ascends_from_low():
    assert sorted(Importance, key=importance_rank) == ["low", "moderate", "high", "critical"]


@pytest.mark.parametrize("text", [None, "", "NAME", "desc", "f00", "Straße".upper()])
def test_a_search_finds_parts_of_name_description_and_id(text):
    assert matches(text, name="a name in straße", description="DESCRIBED", record_id="beef00")


def test_a_search_misses_what_is_not_there():
    assert not matches("x", name="a", description="b", record_id="c")


def test_long_names_are_ordered_by_as_much_as_a_link_carries():
    assert name_key("B") == name_key("b")
    assert len(name_key("ß" * 5000)) == NAME_KEY_CHARS


TAGS = (Tag(id="1", name="team", value="red"), Tag(id="2", name="stage", value="test"))


@pytest.mark.parametrize(
    ("names", "values", "found"),
    [
        ([], [], True),
        (["team"], [], True),
        (["other", "stage"], [], True),
        ([], ["test"], True),
        (["other"], ["red"], True),
        (["team"], ["other"], True),
        (["Team"], [], False),
        (["red"], ["team"], False),
    ],
)
def test_one_tag_of_those_that_are_asked_for_is_enough(names, values, found):
    assert has_tag(TAGS, names=names, values=values) is found


# -- walks ------------------------------------------------------------------------------------


class Remembering:
    """Keeps walks as the store does, or forgets them."""

    def __init__(self, *, forgetful=False):
        self.kept = {}
        self.forgetful = forgetful

    async def keep(self, ids):
        if self.forgetful:
            return None
        name = str(hash(tuple(ids)))
        self.kept[name] = list(ids)
        return name

    async def ids(self, name):
        return self.kept.get(name)


def record(number, name, created_at):
    return Repository(
        id=f"{number:024x}", name=name, creator_id="u", created_at=created_at, updated_at=1.0
    )


def page(walks, records, *, order, limit, offset=0, cursor=None):
    scope = {
        "type": "http",
        "method": "GET",
        "path": "/list",
        "headers": [(b"host", b"api.test")],
        "scheme": "http",
        "server": ("api.test", 80),
        "query_string": b"orderBy=x",
        "state": {"path_as_sent": "/list"},
    }
    call = SimpleNamespace(request=Request(scope), services=SimpleNamespace(walks=walks))
    query = SimpleNamespace(offset=offset, limit=limit, order_by=order, cursor=cursor)
    return asyncio.run(
        page_of(call, query, list(records.values()), sorting=SORTING, view=lambda r: r.id)
    )


def follow(url):
    query = parse_qs(urlsplit(url).query)
    return {"offset": int(query["offset"][0]), "cursor": query["cursor"][0]}


EDITS = st.lists(
    st.tuples(st.sampled_from(["create", "delete", "rename"]), st.integers(0, 40), st.text("abc")),
    max_size=8,
)


@given(
    start=st.lists(st.tuples(st.text("abc", max_size=2), st.integers(0, 3)), max_size=25),
    edits=st.lists(EDITS, max_size=30),
    order=st.sampled_from(["name", "-name", "createdAt", "-createdAt"]),
    limit=st.integers(1, 6),
)
def test_a_walk_shows_everything_that_stays_exactly_once_whatever_happens(
    start, edits, order, limit
):
    records = {n: record(n, name, float(at)) for n, (name, at) in enumerate(start)}
    stayed = set(records)
    walks, seen, where, fresh = Remembering(), [], {}, len(start)
    changes = iter(edits)
    while True:
        shown = page(walks, records, order=order, limit=limit, **where)
        assert shown["count"] == len(shown["data"]) <= limit
        assert shown["total_count"] == len(records)
        seen += [int(record_id, 16) for record_id in shown["data"]]
        if shown["next"] is None:
            break
        where = follow(shown["next"])
        for what, number, text in next(changes, []):
            if what == "create":
                fresh += 1
                records[fresh] = record(fresh, text, float(number % 4))
                continue
            if not records:
                continue
            chosen = sorted(records)[number % len(records)]
            if what == "delete":
                del records[chosen]
                stayed.discard(chosen)
            else:
                records[chosen] = record(chosen, text, records[chosen].created_at)
    assert len(seen) == len(set(seen))
    assert stayed <= set(seen)


@pytest.mark.parametrize("order", ["name", "-name"])
def test_items_that_change_places_come_once_where_they_were(order):
    records = {n: record(n, name, 1.0) for n, name in enumerate("abcdef")}
    walks = Remembering()
    first = page(walks, records, order=order, limit=2)
    for n, name in enumerate("fedcba"):
        records[n] = record(n, name, 1.0)
    second = page(walks, records, order=order, limit=2, **follow(first["next"]))
    third = page(walks, records, order=order, limit=2, **follow(second["next"]))
    seen = [int(i, 16) for shown in (first, second, third) for i in shown["data"]]
    assert seen == (list(range(6)) if order == "name" else list(range(5, -1, -1)))
    assert third["next"] is None


@given(
    start=st.lists(st.text("abc", max_size=2), max_size=25),
    order=st.sampled_from(["name", "-name"]),
    limit=st.integers(1, 6),
    gone=st.sets(st.integers(0, 24)),
)
def test_a_walk_that_nobody_remembers_goes_on_behind_the_last_item(start, order, limit, gone):
    records = {n: record(n, name, 1.0) for n, name in enumerate(start)}
    walks, seen, where = Remembering(forgetful=True), [], {}
    while True:
        shown = page(walks, records, order=order, limit=limit, **where)
        seen += [int(record_id, 16) for record_id in shown["data"]]
        if shown["next"] is None:
            break
        where = follow(shown["next"])
        for number in [number for number in gone if number in records][:1]:
            del records[number]
    assert len(seen) == len(set(seen))
    assert set(records) <= set(seen)


@pytest.mark.parametrize("order", ["name", "-name", "createdAt", "-createdAt"])
@pytest.mark.parametrize("forgetful", [False, True])
def test_pages_lead_back_to_where_they_came_from(order, forgetful):
    records = {n: record(n, "ab"[n % 2], float(n // 3)) for n in range(11)}
    walks, pages, where = Remembering(forgetful=forgetful), [], {}
    while True:
        pages.append(page(walks, records, order=order, limit=3, **where))
        if pages[-1]["next"] is None:
            break
        where = follow(pages[-1]["next"])
    assert [p["count"] for p in pages] == [3, 3, 3, 2]
    back = [pages[-1]]
    while back[-1]["previous"] is not None:
        back.append(page(walks, records, order=order, limit=3, **follow(back[-1]["previous"])))
    assert [p["data"] for p in back] == [p["data"] for p in reversed(pages)]
    assert back[-1]["next"] is not None


def test_an_offset_beyond_the_end_leads_back():
    records = {n: record(n, "a", 1.0) for n in range(3)}
    shown = page(Remembering(), records, order="createdAt", limit=5, offset=50)
    assert (shown["data"], shown["next"], shown["total_count"]) == ([], None, 3)
    assert shown["previous"].endswith("offset=45&limit=5")


def test_one_page_needs_no_memory():
    walks = Remembering()
    page(walks, {1: record(1, "a", 1.0)}, order="name", limit=5)
    assert walks.kept == {}


def encoded(text):
    return base64.urlsafe_b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "x",
        "ÄÖ",
        encoded("[]"),
        encoded("{}"),
        encoded('["name",false,"a"]'),
        encoded('["createdAt",false,1.0,"1"]'),
        encoded('["name",false,1.0,"1"]'),
        encoded('["name",false,"a","1","unknown","x"]'),
    ],
)
def test_a_cursor_that_is_none_of_this_order_is_refused_with_its_name(cursor):
    records = {n: record(n, "a", 1.0) for n in range(3)}
    with pytest.raises(RequestValidationError) as raised:
        page(Remembering(), records, order="name", limit=1, cursor=cursor)
    assert raised.value.errors()[0]["loc"] == ("query", "cursor")


@pytest.mark.parametrize("at", [-5, 2, 1000])
def test_a_cursor_with_a_wrong_place_in_a_walk_shows_a_page_of_it(at):
    records = {n: record(n, "a", 1.0) for n in range(3)}
    walks = Remembering()
    walks.kept["w"] = [r.id for r in records.values()]
    shown = page(
        walks, records, order="name", limit=5, cursor=encoded(f'["name",false,"a","1","w",{at}]')
    )
    assert set(shown["data"]) <= {r.id for r in records.values()}
