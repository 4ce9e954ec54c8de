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
        ("orderBy=colour", "literal_error"),
        ("orderBy=", "literal_error"),
        ("cursor=x", "value_error"),
        ("cursor=", "value_error"),
        ("cursor=" + "x" * 5000, "string_too_long"),
        ("tagKeys=a&" * 101, "too_long"),
        ("serviceStats=maybe", "bool_parsing"),
        ("sort=name", "extra_forbidden"),
        ("tagkeys=a", "extra_forbidden"),
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


async def names(api, query, path="/api/v2/workloads"):
    answer = await api.owner.get(f"{path}?limit=100&{query}")
    assert answer.status_code == 200, answer.text
    return [found["name"] for found in answer.json()["data"]]


async def test_tags_come_back_and_lists_find_them(api):
    artifact = await api.artifact(
        lock=True, name="a", tags=[{"name": "team", "value": "red"}, {"name": "tier"}]
    )
    assert [(t["name"], t["value"]) for t in artifact["tags"]] == [("team", "red"), ("tier", "")]
    assert all(len(tag["id"]) == 24 for tag in artifact["tags"])
    red = [{"name": " team ", "value": " red "}]
    first = await api.workload(artifactId=artifact["id"], name="first", tags=red)
    await api.workload(
        artifactId=artifact["id"], name="second", tags=[{"name": "stage", "value": "test"}]
    )
    await api.workload(artifactId=artifact["id"], name="third")
    assert [(t["name"], t["value"]) for t in first["tags"]] == [("team", "red")]
    assert await names(api, "tagKeys=team") == ["first"]
    assert await names(api, "tagKeys=%20team") == ["first"]
    assert await names(api, "tagKeys=team&tagKeys=stage") == ["first", "second"]
    assert await names(api, "tagKeys=team&tagValues=test") == ["first", "second"]
    assert await names(api, "tagValues=nobody") == []
    assert await names(api, "tagKeys=TEAM") == []
    assert await names(api, "tagKeys=tier", "/api/v2/artifacts") == ["a"]
    assert await names(api, "tagValues=red", "/api/v2/registry/artifacts") == ["a"]


async def test_tags_are_replaced_as_a_whole_and_names_keep_their_ids(api):
    workload = await api.workload(tags=[{"name": "a", "value": "1"}, {"name": "b", "value": "2"}])
    one = f"/api/v2/workloads/{workload['id']}"
    ids = {tag["name"]: tag["id"] for tag in workload["tags"]}
    kept = (await api.owner.patch(one, json={"name": "renamed"})).json()
    assert kept["tags"] == workload["tags"]
    body = {"tags": [{"name": "c", "value": "3"}, {"name": "b", "value": "4"}]}
    changed = (await api.owner.patch(one, json=body)).json()["tags"]
    assert [(t["name"], t["value"]) for t in changed] == [("c", "3"), ("b", "4")]
    assert changed[1]["id"] == ids["b"]
    again = (await api.owner.patch(one, json={"tags": changed})).json()
    assert again["tags"] == changed
    assert (await api.owner.patch(one, json={"tags": []})).json()["tags"] == []


async def test_drafts_and_repositories_have_tags_too(api):
    draft = await api.artifact(tags=[{"name": "a", "value": "1"}])
    one = f"/api/v2/artifacts/{draft['id']}"
    body = {"name": draft["name"], "spec": draft["spec"]}
    put = await api.owner.put(one, json=body)
    assert put.json()["tags"] == draft["tags"]
    put = await api.owner.put(one, json=body | {"tags": []})
    assert put.json()["tags"] == []
    patched = await api.owner.patch(one, json={"tags": [{"name": "b"}]})
    assert [tag["name"] for tag in patched.json()["tags"]] == ["b"]
    home = f"/api/v2/artifactRepositories/{draft['artifactRepositoryId']}"
    tagged = await api.owner.patch(home, json={"tags": [{"name": "line", "value": "x"}]})
    assert tagged.status_code == 200
    assert [tag["name"] for tag in tagged.json()["tags"]] == ["line"]
    assert (await api.owner.patch(home, json={})).json()["tags"] == tagged.json()["tags"]
    assert len(await names(api, "tagKeys=line", "/api/v2/artifactRepositories")) == 1
    assert await names(api, "tagKeys=b", "/api/v2/artifactRepositories") == []


@pytest.mark.parametrize(
    ("tags", "where"),
    [
        ([{"name": ""}], [0, "name"]),
        ([{"name": "  "}], [0, "name"]),
        ([{"value": "x"}], [0, "name"]),
        ([{"name": "x" * 201}], [0, "name"]),
        ([{"name": "a", "value": "x" * 201}], [0, "value"]),
        ([{"name": "a"}, {"name": "a "}], [1, "name"]),
        ([{"name": "a", "colour": "red"}], [0, "colour"]),
        ([{"name": f"n{n}"} for n in range(51)], []),
    ],
)
async def test_tags_that_cannot_be_are_refused_where_they_stand(api, tags, where):
    body = {"name": "w", "artifactId": "0" * 24, "tags": tags}
    answer = await api.owner.post("/api/v2/workloads", json=body)
    assert answer.status_code == 422
    (error,) = answer.json()["detail"]
    assert error["loc"] == ["body", "tags", *where]


async def test_enclaves_can_be_filtered_by(api):
    artifact = await api.artifact(lock=True)
    for name, enclaves in (("a", ["east"]), ("b", ["east", "west"]), ("c", None)):
        runtime = {"enclaveSelectionPolicy": "manual", "enclaves": enclaves} if enclaves else {}
        await api.workload(artifactId=artifact["id"], name=name, runtime=runtime)
    assert await names(api, "enclave=west") == ["b"]
    assert await names(api, "enclaves=east") == ["a", "b"]
    assert await names(api, "enclave=north&enclaves=west") == ["b"]


async def test_states_are_found_by_the_words_of_both_families(api, twelve):
    await api.owner.post(f"/api/v2/workloads/{twelve[8]['id']}/stop")
    for path in ("/api/v2/workloads", "/api/v2/console/workloads"):
        assert await names(api, "status=stopped", path) == ["w08"]
        assert len(await names(api, "status=submitted&status=stopped", path)) == 12
        assert await names(api, "status=initializing&status=provisioning", path) == []
        assert await names(api, "status=suspended&status=warming", path) == []


async def test_spaces_around_a_search_do_not_count(api, twelve):
    assert await names(api, "search=%20%20W03%20") == ["w03"]
    assert len(await names(api, "search=%20")) == 12


@pytest.mark.parametrize("order", ["name", "-status", "updatedAt"])
async def test_a_walk_over_several_processes_holds_still_while_everything_moves(
    api, make_api, twelve, order
):
    other = await make_api()
    seen, clients, url = [], [api.owner, other.owner], f"/api/v2/workloads?limit=3&orderBy={order}"
    stay = {w["id"] for w in twelve}
    while url is not None:
        clients.reverse()
        await other.settle()
        body = (await clients[0].get(url)).json()
        seen += [w["id"] for w in body["data"]]
        url = body["next"]
        first, last = seen[0], seen[-1]
        await api.owner.patch(f"/api/v2/workloads/{first}", json={"name": f"z{len(seen)}"})
        await api.owner.post(f"/api/v2/workloads/{last}/stop")
        await api.workload(artifactId=twelve[0]["artifactId"], name="a new one")
        if len(seen) == 3:
            gone = next(w["id"] for w in twelve if w["id"] not in seen)
            stay.discard(gone)
            assert (await api.owner.delete(f"/api/v2/workloads/{gone}")).status_code == 204
    assert len(seen) == len(set(seen))
    assert stay <= set(seen)


async def test_a_walk_goes_on_when_the_store_has_forgotten_it(api, make_api, store, twelve):
    other = await make_api()
    body = (await api.owner.get("/api/v2/workloads?limit=5&orderBy=-name")).json()
    for key in await store.link.call("KEYS", store.keys["walk:*"].replace("{", "\\{")):
        await store.link.call("UNLINK", key)
    await other.settle()
    body = (await other.owner.get(body["next"])).json()
    assert [w["name"] for w in body["data"]] == ["w06", "w05", "w04", "w03", "w02"]
    body = (await other.owner.get(body["next"])).json()
    assert [w["name"] for w in body["data"]] == ["w01", "w00"]
    assert body["next"] is None
