"""Statistics at the API: from what gateway workers report to every number that is served."""

from datetime import UTC, datetime
from itertools import count, product

import msgspec
import pytest

from controlplane.audit import JOURNAL, AuditLine
from controlplane.conductor.loop import LEASE
from controlplane.conductor.statistics import Recorder
from controlplane.conductor.term import Term
from controlplane.model.reports import LoadReport, ProtonLoad
from controlplane.model.workloads import Workload
from controlplane.store.scripts import FIELDS
from controlplane.store.statistics import Statistics

PATHS = ("/api/v2/workloads", "/api/v2/console/workloads")
NOON = datetime(2033, 5, 18, 12, tzinfo=UTC).timestamp()
"""Later than anything that the clock of this machine says."""
SOON = NOON + 1
BUSY = {
    "started": 12,
    "finished": {"1xx": 1, "2xx": 4, "4xx": 1, "5xx": 1, "refused": 3, "aborted": 1},
    "refused_user": 1,
    "in_flight": 1,
    "load_seconds": 30.0,
    "queued": 0,
    "cold_starts": 2,
    # about 4 ms and 4 s
    "response_time": {255: 5, 575: 1},
    "response_seconds": 4.02,
}


class Traffic:
    """What gateway workers report, and when the recorder looks."""

    def __init__(self, api, workload) -> None:
        self.api = api
        self.workload = workload
        self.path = f"/api/v2/workloads/{workload['id']}"
        self._clocks = count(1)
        self._recorder = None
        self.at(SOON)

    def at(self, now_s: float) -> None:
        """The time is this."""
        self.api.services.clock = lambda: now_s
        self.now_s = now_s

    async def report(self, proton=None, worker="w1", **load) -> None:
        report = LoadReport(
            worker_id=worker,
            sent_at=self.now_s,
            clock_s=next(self._clocks),
            revision=1,
            protons={
                proton or self.workload["protonId"]: ProtonLoad(
                    workload_id=self.workload["id"], **load
                )
            },
        )
        await self.api.store.publish_report(report, ttl_s=600)

    async def record(self) -> None:
        """The recorder looks."""
        if self._recorder is None:
            lease = await self.api.store.acquire(LEASE, "test", ttl_s=600)
            term = Term(self.api.services, lease)
            self._recorder = Recorder(term, monotonic=lambda: 0.0)
        await self._recorder.step(self.now_s)

    async def get(self, path="/stats", status=200, client=None, **query):
        answer = await (client or self.api.owner).get(self.path + path, params=query)
        assert answer.status_code == status, answer.text
        return answer.json()

    async def metrics(self, **query):
        return (await self.get(**query))["metrics"]


@pytest.fixture
async def traffic(api) -> Traffic:
    return Traffic(api, await api.workload())


def iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="microseconds")


# -- one workload ---------------------------------------------------------------------------------


async def test_a_new_workload_has_had_no_request(traffic):
    body = await traffic.get()
    assert set(body["metrics"].values()) == {0}
    assert set(body["period"]) == {"start", "end"}


@pytest.mark.parametrize("recorded", [False, True])
async def test_every_number_is_served_whether_recorded_or_not(traffic, recorded):
    await traffic.report(**BUSY)
    if recorded:
        await traffic.record()
    assert await traffic.metrics(startTime=iso(NOON - 90), slowRequestsThreshold=1000) == {
        "totalRequests": 12,
        "requestsPerMinute": 6,  # of two minutes: what was asked for begins within one
        "concurrentRequests": 1,
        "responseTime": 4,
        "slowRequests": 1,
        "serverErrors": 3,
        "userErrors": 2,
        "totalErrorRate": pytest.approx(5 / 11, abs=1e-6),
        "serverErrorRate": pytest.approx(3 / 11, abs=1e-6),
        "userErrorRate": pytest.approx(2 / 11, abs=1e-6),
    }


async def test_any_quantile_of_the_response_time_is_within_2_percent(traffic):
    await traffic.report(**BUSY)
    for quantile, expected_ms in (("0", 4), ("0.5", 4), ("1", 4227)):
        found = await traffic.metrics(responseTimeQuantile=quantile)
        assert found["responseTime"] == pytest.approx(expected_ms, rel=0.02, abs=0.5)


async def test_workers_add_up_and_what_was_recorded_is_not_counted_again(traffic):
    await traffic.report(started=3)
    await traffic.record()
    await traffic.report(started=5)
    await traffic.report(started=7, worker="w2")
    assert (await traffic.metrics())["totalRequests"] == 12
    await traffic.record()
    assert (await traffic.metrics())["totalRequests"] == 12


async def test_periods_say_what_was_counted(traffic):
    created_s = datetime.fromisoformat(traffic.workload["createdAt"]).timestamp()
    traffic.at(created_s + 40)
    whole = await traffic.get()
    assert whole["period"]["start"] == traffic.workload["createdAt"]
    assert whole["period"]["end"] == iso(created_s + 40)
    traffic.at(NOON + 30)
    part = await traffic.get(startTime=iso(NOON - 90), endTime=iso(NOON - 10))
    assert part["period"] == {"start": iso(NOON - 120), "end": iso(NOON)}


async def test_a_stretch_of_time_has_its_own_requests(traffic):
    await traffic.report(started=3)
    await traffic.record()
    traffic.at(NOON + 601)
    await traffic.report(started=10)
    await traffic.record()
    assert (await traffic.metrics(endTime=iso(NOON + 300)))["totalRequests"] == 3
    assert (await traffic.metrics(startTime=iso(NOON + 300)))["totalRequests"] == 7
    assert (await traffic.metrics(startTime=iso(NOON - 60)))["totalRequests"] == 10


async def test_protons_have_their_own_numbers_and_the_active_one_is_the_default(traffic):
    await traffic.report(started=3)
    await traffic.report(started=8, proton="e" * 24, worker="w2")
    await traffic.record()
    assert (await traffic.metrics())["totalRequests"] == 3
    assert (await traffic.metrics(protonId="e" * 24))["totalRequests"] == 8, "a proton that is gone"
    body = await traffic.get(status=404, protonId="d" * 24)
    assert body["detail"].endswith(f"has no proton {'d' * 24}.")


async def test_drafts_forget_after_a_day_and_locked_ones_after_a_month(traffic):
    await traffic.report(started=3)
    await traffic.record()
    traffic.at(NOON + 2 * 86_400)
    assert (await traffic.metrics())["totalRequests"] == 0
    artifact = traffic.workload["artifactId"]
    locked = await traffic.api.owner.patch(
        f"/api/v2/artifacts/{artifact}", json={"status": "locked"}
    )
    assert locked.status_code == 200
    await traffic.api.settle()
    assert (await traffic.metrics())["totalRequests"] == 3
    traffic.at(NOON + 32 * 86_400)
    assert (await traffic.metrics())["totalRequests"] == 0


async def test_a_promote_begins_anew(traffic):
    await traffic.report(started=3)
    answer = await traffic.api.owner.post(f"{traffic.path}/promote")
    assert answer.status_code == 202, answer.text
    assert (await traffic.metrics())["totalRequests"] == 0
    traffic.at(NOON + 2)
    await traffic.report(started=5)
    assert (await traffic.metrics())["totalRequests"] == 2
    await traffic.record()
    assert (await traffic.metrics())["totalRequests"] == 2


# -- over time ------------------------------------------------------------------------------------


async def test_a_series_has_every_bucket_of_its_time(traffic):
    await traffic.report(started=3)
    await traffic.record()
    traffic.at(NOON + 190)
    await traffic.report(started=10)
    await traffic.record()
    body = await traffic.get("/stats/totalRequests", resolution="PT1M", startTime=iso(NOON - 60))
    assert body["metric"] == "totalRequests"
    assert body["summary"] == {
        "protonId": traffic.workload["protonId"],
        "period": {"start": iso(NOON - 60), "end": iso(NOON + 190)},
    }
    assert [bucket["value"] for bucket in body["buckets"]] == [0, 3, 0, 0, 7]
    assert body["buckets"][-1]["period"] == {"start": iso(NOON + 180), "end": iso(NOON + 190)}


RESOLUTIONS = {
    "PT1M": "2033-05-18T11:59:00",
    "PT5M": "2033-05-18T11:55:00",
    "PT1H": "2033-05-18T11:00:00",
    "P1D": "2033-05-18T00:00:00",
    "P7D": "2033-05-16T00:00:00",
    "P1M": "2033-05-01T00:00:00",
}
"""Resolution, and where the first bucket begins when the minute before noon is asked for."""


async def test_all_resolutions_count_the_same_requests(traffic):
    await traffic.report(started=3)
    await traffic.record()
    for resolution, start in RESOLUTIONS.items():
        query = {"resolution": resolution, "startTime": iso(NOON - 60)}
        body = await traffic.get("/stats/totalRequests", **query)
        assert body["buckets"][0]["period"]["start"].startswith(start)
        assert sum(bucket["value"] for bucket in body["buckets"]) == 3


SERIES = {
    "totalRequests": [12, 0],
    "requestsPerMinute": [12, 0],
    "requestsOverN": [1, 0],
    "concurrentRequests": [0.5, 0],
    "responseTime": [pytest.approx(4.1, rel=0.02), None],
    "totalErrorRate": [pytest.approx(5 / 11, abs=1e-6), None],
}
"""Metric, and what it says of a busy and an idle minute."""


async def test_every_metric_has_a_series(traffic):
    await traffic.report(**BUSY)
    await traffic.record()
    traffic.at(NOON + 119)
    for metric, expected in SERIES.items():
        query = {"resolution": "PT1M", "startTime": iso(NOON)}
        body = await traffic.get(f"/stats/{metric}/", **query)
        assert [bucket["value"] for bucket in body["buckets"]] == expected, metric


async def test_an_unknown_metric_is_refused_with_the_known_ones(traffic):
    body = await traffic.get("/stats/nonsense", status=422)
    assert body["detail"][0]["loc"] == ["path", "metric_name"]
    assert "'requestsOverN'" in body["detail"][0]["msg"]


async def test_more_buckets_than_are_kept_are_refused_with_the_remedy(traffic):
    body = await traffic.get(
        "/stats/totalRequests", status=422, resolution="PT1M", startTime=iso(NOON - 5 * 3600)
    )
    assert "resolution=PT1H" in body["detail"][0]
    body = await traffic.get(
        "/stats/totalRequests", status=400, resolution="PT1M", endTime=iso(NOON - 5 * 3600)
    )
    assert "longer resolution" in body["detail"]


async def test_a_series_of_a_time_before_the_workload_is_empty(traffic):
    body = await traffic.get("/stats/totalRequests", endTime="2001-01-01T00:00:00Z")
    assert body["buckets"] == []


# -- what is refused ------------------------------------------------------------------------------


READS = ("/stats", "/stats/totalRequests")

MALFORMED = [
    ({"startTime": "yesterday"}, "startTime"),
    ({"endTime": "2026-11-21T19:00:00"}, "endTime"),
    ({"endTime": "1700000000"}, "endTime"),
    ({"responseTimeQuantile": "1.01"}, "responseTimeQuantile"),
    ({"responseTimeQuantile": "-0.1"}, "responseTimeQuantile"),
    ({"responseTimeQuantile": "nan"}, "responseTimeQuantile"),
    ({"slowRequestsThreshold": "-1"}, "slowRequestsThreshold"),
    ({"slowRequestsThreshold": "many"}, "slowRequestsThreshold"),
    ({"offset": "1"}, "offset"),
]
"""A query, and the parameter to blame."""


async def test_malformed_parameters_are_named(traffic):
    for path in READS:
        for query, field in MALFORMED:
            body = await traffic.get(path, status=422, **query)
            assert body["detail"][0]["loc"] == ["query", field]


async def test_times_that_cannot_be_are_refused(traffic):
    backwards = {"startTime": iso(NOON - 60), "endTime": iso(NOON - 120)}
    for path in READS:
        for query in (backwards, {"startTime": iso(NOON + 60)}):
            assert "startTime" in (await traffic.get(path, status=400, **query))["detail"]
    gone = await traffic.api.owner.delete(f"{traffic.path}/stats", params=backwards)
    assert gone.status_code == 400


async def test_a_workload_that_is_not_there_has_none(api):
    for prefix, path, workload_id in product(PATHS, READS, ("0" * 24, "nonsense")):
        answer = await api.owner.get(f"{prefix}/{workload_id}{path}")
        assert answer.status_code == 404


async def test_consumers_see_none_and_users_cannot_reset(traffic):
    api = traffic.api
    await traffic.report(started=3)
    await traffic.record()
    user, user_client = await api.person("user")
    consumer, consumer_client = await api.person("consumer")
    _, stranger_client = await api.person("stranger")
    roles = [
        {"shareRecipientType": "user", "id": person.id, "role": role}
        for person, role in ((user, "USER"), (consumer, "CONSUMER"))
    ]
    owner = {
        "shareRecipientType": "user",
        "id": traffic.workload["creator"]["id"],
        "role": "OWNER",
    }
    shared = await api.owner.patch(
        f"{traffic.path}/sharedRoles",
        json={"operation": "updateRoles", "roles": [owner, *roles]},
    )
    assert shared.status_code == 204, shared.text
    assert (await traffic.metrics(client=user_client))["totalRequests"] == 3
    for path in ("/stats", "/stats/totalRequests"):
        await traffic.get(path, status=403, client=consumer_client)
        await traffic.get(path, status=403, client=stranger_client)
    for client in (user_client, consumer_client, stranger_client):
        assert (await client.delete(f"{traffic.path}/stats")).status_code == 403
    rows = (await consumer_client.get("/api/v2/workloads?serviceStats=true")).json()["data"]
    assert rows[0]["requestStats"] is None
    assert rows[0]["lastResponse"] is None
    totals = (await consumer_client.get("/api/v2/workloads/stats")).json()
    assert (totals["workloads"]["total"], totals["requests"]["total"]) == (1, 0)


# -- resets ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("recorded", [False, True])
async def test_a_reset_forgets_everything_and_counting_goes_on(traffic, recorded):
    await traffic.report(**BUSY)
    if recorded:
        await traffic.record()
    answer = await traffic.api.owner.delete(f"{traffic.path}/stats")
    assert (answer.status_code, answer.content) == (204, b"")
    assert (await traffic.metrics())["totalRequests"] == 0
    await traffic.record()
    assert (await traffic.metrics())["totalRequests"] == 0
    traffic.at(NOON + 2)
    await traffic.report(**(BUSY | {"started": 14}))
    assert (await traffic.metrics())["totalRequests"] == 2
    await traffic.record()
    assert (await traffic.metrics())["totalRequests"] == 2


async def test_a_stretch_of_time_can_be_reset(traffic):
    await traffic.report(started=3)
    await traffic.record()
    traffic.at(NOON + 601)
    await traffic.report(started=10)
    params = {"startTime": iso(NOON - 5), "endTime": iso(NOON + 60)}
    answer = await traffic.api.owner.delete(f"{traffic.path}/stats/", params=params)
    assert answer.status_code == 204
    assert (await traffic.metrics())["totalRequests"] == 7


async def test_one_proton_can_be_reset(traffic):
    await traffic.report(started=3)
    await traffic.report(started=8, proton="e" * 24, worker="w2")
    await traffic.record()
    answer = await traffic.api.owner.delete(f"{traffic.path}/stats", params={"protonId": "e" * 24})
    assert answer.status_code == 204
    assert (await traffic.metrics())["totalRequests"] == 3
    params = {"protonId": "e" * 24}
    again = await traffic.api.owner.delete(f"{traffic.path}/stats", params=params)
    assert again.status_code == 404, "nothing of it is left"


RESETS = {
    "totalRequests": ("totalRequests", "serverErrors"),
    "totalErrorRate": ("totalErrorRate", "responseTime"),
    "responseTime": ("responseTime", "concurrentRequests"),
}
"""Metric, a number that is reset with it, and one that stays."""


async def test_one_number_can_be_reset(traffic):
    await traffic.report(**BUSY)
    for metric, (gone, kept) in RESETS.items():
        before = await traffic.metrics()
        params = {"metricName": metric}
        answer = await traffic.api.owner.delete(f"{traffic.path}/stats", params=params)
        assert answer.status_code == 204
        after = await traffic.metrics()
        assert (after[gone], after[kept]) == (0, before[kept] or pytest.fail(kept))


async def test_a_reset_is_told_in_the_journals(traffic):
    await traffic.api.owner.delete(
        f"{traffic.path}/stats", params={"metricName": "responseTime", "endTime": iso(NOON - 60)}
    )
    newest = (await traffic.get("/events"))["data"][0]
    assert newest["eventType"] == "Statistics Reset"
    assert newest["actorId"] == traffic.workload["creator"]["id"]
    assert newest["details"] == {
        "protonId": None,
        "startTime": None,
        "endTime": iso(NOON - 60),
        "metricName": "responseTime",
    }


async def test_after_a_reset_of_everything_the_period_begins_with_it(traffic):
    await traffic.report(started=3)
    answer = await traffic.api.owner.delete(f"{traffic.path}/stats")
    assert answer.status_code == 204
    traffic.at(SOON + 30)
    await traffic.report(started=7)
    body = await traffic.get()
    assert body["period"] == {"start": iso(SOON), "end": iso(SOON + 30)}
    assert body["metrics"]["totalRequests"] == 4
    newest = (await traffic.get("/events"))["data"][0]
    assert newest["eventType"] == "Statistics Reset"
    assert set(newest["details"].values()) == {None}
    entries, _ = await traffic.api.store.read_journal(JOURNAL)
    line = msgspec.json.decode(entries[0], type=AuditLine)
    assert (line.by.user_id, line.record_id, line.action) == (
        traffic.workload["creator"]["id"],
        traffic.workload["id"],
        "updated",
    )
    assert [(c.field, c.after) for c in line.changes] == [("statsSince", SOON)]


async def test_a_reset_of_a_part_leaves_the_period_as_it_was(traffic):
    before = await traffic.get()
    for params in (
        {"metricName": "responseTime"},
        {"protonId": traffic.workload["protonId"]},
        {"startTime": iso(NOON - 60)},
        {"endTime": iso(NOON - 60)},
    ):
        answer = await traffic.api.owner.delete(f"{traffic.path}/stats", params=params)
        assert answer.status_code == 204
        assert (await traffic.get())["period"] == before["period"]


async def test_a_reset_of_nothing_is_one_too(traffic):
    answer = await traffic.api.owner.delete(f"{traffic.path}/stats")
    assert answer.status_code == 204


async def test_a_reset_with_unknown_parameters_changes_nothing(traffic):
    await traffic.report(started=3)
    for params in ({"metricName": "nonsense"}, {"resolution": "P1D"}):
        answer = await traffic.api.owner.delete(f"{traffic.path}/stats", params=params)
        assert answer.status_code == 422
    assert (await traffic.metrics())["totalRequests"] == 3


# -- lists and totals -----------------------------------------------------------------------------


async def test_lists_have_the_last_seven_days(traffic):
    await traffic.report(**BUSY)
    await traffic.record()
    rows, old = [
        (await traffic.api.owner.get(f"{prefix}?serviceStats=true")).json()["data"]
        for prefix in PATHS
    ]
    assert old[0]["requestStats"] == rows[0]["requestStats"]
    assert rows[0]["requestStats"] == {
        "totalRequests": 12,
        "concurrentRequests": 1,
        "responseTime": 670,
        "errorRate": pytest.approx(5 / 11, abs=1e-6),
        "requestRates": [0, 0, 0, 0, 0, 0, 12],
        "errorRates": [0, 0, 0, 0, 0, 0, 5],
        "lastRequestAt": iso(SOON),
    }
    assert rows[0]["lastResponse"] == iso(SOON)
    plain = (await traffic.api.owner.get(PATHS[0])).json()["data"]
    assert (plain[0]["requestStats"], plain[0]["lastResponse"]) == (None, iso(SOON))
    one = (await traffic.api.owner.get(traffic.path)).json()
    assert (one["requestStats"], one["lastResponse"]) == (None, iso(SOON))


async def test_a_page_of_a_list_costs_one_call_to_the_store(traffic, monkeypatch):
    for _ in range(5):
        await traffic.api.workload()
    calls = []
    link = traffic.api.store.link
    run = link.run

    async def counting(script, *arguments):
        calls.append(script)
        return await run(script, *arguments)

    monkeypatch.setattr(link, "run", counting)
    body = (await traffic.api.owner.get("/api/v2/workloads?serviceStats=true")).json()
    assert body["count"] == 6
    assert calls.count(FIELDS) == 1


async def test_totals_are_over_all_protons_and_workloads_that_fit(traffic):
    api = traffic.api
    other = Traffic(api, await api.workload(name="the other"))
    await traffic.report(**BUSY)
    await traffic.report(started=5, finished={"2xx": 5}, proton="e" * 24, worker="w2")
    await other.report(started=1, finished={"2xx": 1}, worker="w3")
    await traffic.record()
    whole = (await api.owner.get("/api/v2/workloads/stats/")).json()
    assert whole["workloads"] == {"total": 2, "active": 0}
    assert whole["requests"] == {"total": 18, "succeeded": 11, "failed": 5, "trend": 0}
    assert whole["errorRate"] == {"rate": pytest.approx(5 / 17, abs=1e-6), "trend": 0}
    assert whole["concurrentRequests"]["count"] == 1
    part = (await api.owner.get("/api/v2/console/workloads/stats?search=OTHER")).json()
    assert (part["workloads"]["total"], part["requests"]["total"]) == (1, 1)
    for parameter in ("offset=0", "limit=5", "serviceStats=true", "cursor=x", "orderBy=name"):
        answer = await api.owner.get(f"/api/v2/workloads/stats?{parameter}")
        assert answer.status_code == 422, parameter


async def test_trends_compare_with_the_day_before(traffic):
    await traffic.report(
        started=10,
        finished={"2xx": 10},
        response_time={255: 10},
        response_seconds=1.0,
        load_seconds=4.0,
    )
    await traffic.record()
    traffic.at(NOON + 86_400)
    await traffic.report(
        started=25,
        finished={"2xx": 25},
        response_time={255: 25},
        response_seconds=4.0,
        load_seconds=10.0,
    )
    await traffic.record()
    traffic.at(NOON + 86_400 + 3599)
    totals = (await traffic.api.owner.get("/api/v2/workloads/stats")).json()
    assert totals["requests"]["trend"] == 0.5
    assert totals["responseTime"] == {"millis": 200, "trend": pytest.approx(1.0, rel=0.01)}
    assert totals["concurrentRequests"]["trend"] == pytest.approx(0.5, abs=0.01)


async def test_statistics_of_before_a_reset_are_in_no_list_and_no_total(traffic):
    await traffic.report(**BUSY)
    await traffic.record()
    answer = await traffic.api.owner.post(f"{traffic.path}/promote")
    assert answer.status_code == 202
    rows = (await traffic.api.owner.get("/api/v2/workloads?serviceStats=true")).json()["data"]
    assert rows[0]["requestStats"]["totalRequests"] == 0
    assert rows[0]["lastResponse"] is None
    totals = (await traffic.api.owner.get("/api/v2/workloads/stats")).json()
    assert totals["requests"]["total"] == 0


async def test_workloads_are_answered_for_when_the_store_is_away(traffic, monkeypatch):
    await traffic.report(**BUSY)
    await traffic.record()
    monkeypatch.setattr(type(traffic.api.store), "available", property(lambda _: False))
    one = await traffic.api.owner.get(traffic.path)
    assert (one.status_code, one.json()["lastResponse"]) == (200, None)


async def test_a_purged_workload_leaves_no_statistics(traffic):
    await traffic.report(**BUSY)
    await traffic.record()
    statistics = Statistics(traffic.api.store)
    assert await statistics.read_all(traffic.workload["id"])
    await statistics.forget(traffic.workload["id"])
    assert await statistics.read_all(traffic.workload["id"]) == {}
    assert traffic.api.services.mirror.get(Workload, traffic.workload["id"]) is not None
