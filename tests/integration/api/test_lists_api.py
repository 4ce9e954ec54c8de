import pytest

from tests.integration.api.conftest import BASE

FAMILIES = [("/api/v2/workloads", 10, "orderBy"), ("/api/v2/console/workloads", 100, "sort")]


@pytest.fixture
async def twelve(api):
    """Twelve workloads on one locked artifact, oldest first."""
    artifact = await api.artifact(lock=True)
    ranks = ["critical", "high", "moderate", "low"]
    return [
        await api.workload(artifactId=artifact["id"], name=f"w{n:02}", importance=ranks[n % 4])
        for n in range(12)
    ]


async def follow(api, url, link):
    pages = []
    while url is not None:
        answer = await api.owner.get(url)
        assert answer.status_code == 200, answer.text
        pages.append(answer.json())
        url = pages[-1][link]
        assert url is None or url.startswith(f"{BASE}/api/v2/")
    return pages


@pytest.mark.parametrize("slash", ["", "/"])
@pytest.mark.parametrize(("path", "order"), [(path, order) for path, _, order in FAMILIES])
async def test_links_lead_through_all_pages_and_back(api, twelve, path, order, slash):
    ids = [w["id"] for w in twelve]
    pages = await follow(api, f"{path}{slash}?limit=5&{order}=-name&search=w", "next")
    assert [w["id"] for page in pages for w in page["data"]] == ids[::-1]
    assert [page["count"] for page in pages] == [5, 5, 2]
    assert {page["totalCount"] for page in pages} == {12}
    assert pages[0]["previous"] is None
    assert f"{path}{slash}?" in pages[0]["next"]
    back = await follow(api, pages[-1]["previous"], "previous")
    assert [page["data"] for page in back] == [pages[1]["data"], pages[0]["data"]]


@pytest.mark.parametrize(("path", "limit", "order"), FAMILIES)
async def test_the_default_page_is_the_familys(api, twelve, path, limit, order):
    page = (await api.owner.get(path)).json()
    assert page["count"] == min(limit, 12)
    assert (page["next"] is None) == (limit >= 12)


async def test_beyond_the_end_is_an_empty_page(api, twelve):
    page = (await api.owner.get("/api/v2/workloads?offset=50&limit=5")).json()
    assert (page["data"], page["count"], page["totalCount"]) == ([], 0, 12)
    assert page["next"] is None
    assert page["previous"].endswith("?offset=45&limit=5")


@pytest.mark.parametrize(("path", "limit", "order"), FAMILIES)
async def test_filters(api, twelve, path, limit, order):
    async def names(query):
        answer = await api.owner.get(f"{path}?limit=100&{query}")
        assert answer.status_code == 200, answer.text
        return [w["name"] for w in answer.json()["data"]]

    assert await names("search=W0") == [f"w{n:02}" for n in range(10)]
    assert await names(f"search={twelve[3]['id']}") == ["w03"]
    assert await names(f"ids={twelve[5]['id']}&ids={twelve[7]['id']}") == ["w05", "w07"]
    assert await names("importance=critical&importance=low") == [
        "w00", "w03", "w04", "w07", "w08", "w11",
    ]  # fmt: skip
    assert await names("status=running") == []
    assert len(await names("status=submitted&status=errored")) == 12
    assert len(await names(f"artifactId={twelve[0]['artifactId']}")) == 12
    assert await names("artifactStatus=draft") == []
    assert len(await names("artifactStatus=registered&type=service")) == 12
    assert await names(f"repositoryId={'0' * 24}") == []
    assert await names("createdBy=nobody") == []
    assert await names(f"{order}=importance") == [
        f"w{n:02}" for rank in (3, 2, 1, 0) for n in range(rank, 12, 4)
    ]
    assert (await names(f"{order}=-updatedAt"))[0] == "w11"
    assert (await names(f"{order}=createdAt"))[0] == "w00"
    assert (await names(f"{order}=name"))[0] == "w00"


async def test_order_by_status_puts_stopped_before_running(api, twelve):
    await api.owner.post(f"/api/v2/workloads/{twelve[8]['id']}/stop")
    for order, place in (("status", 0), ("-status", -1)):
        page = (await api.owner.get(f"/api/v2/workloads?limit=100&orderBy={order}")).json()
        assert page["data"][place]["id"] == twelve[8]["id"]


@pytest.mark.parametrize(
    ("query", "kind"),
    [
        ("limit=0", "greater_than_equal"),
        ("limit=101", "less_than_equal"),
        ("limit=x", "int_parsing"),
        ("offset=-1", "greater_than_equal"),
        ("offset=99999999999999999999999", "less_than_equal"),
        ("orderBy=colour", "string_pattern_mismatch"),
        ("sort=name", "extra_forbidden"),
        ("tagKeys=a", "extra_forbidden"),
        ("order_by=name", "extra_forbidden"),
        ("status=broken", "literal_error"),
        ("importance=urgent", "enum"),
        ("search=" + "x" * 101, "string_too_long"),
    ],
)
async def test_parameters_that_are_wrong_or_unknown_are_refused(api, query, kind):
    answer = await api.owner.get(f"/api/v2/workloads?{query}")
    assert answer.status_code == 422
    (error,) = answer.json()["detail"]
    assert error["type"] == kind
    assert error["loc"][0] == "query"


async def test_the_old_family_orders_by_sort_only(api):
    answer = await api.owner.get("/api/v2/console/workloads?orderBy=name")
    assert answer.status_code == 422


async def test_an_empty_list_has_no_links(api):
    body = (await api.owner.get("/api/v2/workloads")).json()
    assert body == {"totalCount": 0, "count": 0, "next": None, "previous": None, "data": []}
