"""The admin port's metrics as text, without a socket."""

from types import SimpleNamespace
from typing import cast

from prometheus_client.parser import text_string_to_metric_families

from controlplane.model.sections import GatewaySettings
from controlplane.store.client import Store
from gateway.core.load import CLASSES
from gateway.net.access_log import AccessLog
from gateway.net.admin import Admin
from gateway.net.endpoints import ProtonRoute
from gateway.net.routes import Routes
from gateway.net.worker import Worker

OK = CLASSES.index("2xx")


def scene(*proton_ids: str) -> tuple[Admin, list[ProtonRoute]]:
    """The admin pages of a worker with these protons, each with one request in flight."""
    worker = Worker(GatewaySettings(), worker_id="w", access_log=AccessLog("off", sample_ratio=1.0))
    protons = [ProtonRoute(id_, f"of-{id_}", now_s=0.0) for id_ in proton_ids]
    for proton in protons:
        arrive(proton)
    known = {proton.id: proton for proton in protons}
    routes = SimpleNamespace(protons=known, retired={}, workloads={}, revision=7)
    return Admin(
        worker, cast(Routes, routes), cast(Store, SimpleNamespace(available=True))
    ), protons


def arrive(proton: ProtonRoute) -> None:
    proton.meter.start(0.0, minute=1)
    proton.meter.send(0.0)


def leave(proton: ProtonRoute) -> None:
    proton.meter.finish(0.0, OK, sent=True)
    proton.meter.time(0.01)


def sums(text: str) -> dict[str, dict[str, float]]:
    """Proton to metric to value; the classes of `finished` are added up."""
    found: dict[str, dict[str, float]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if (proton := sample.labels.get("proton")) and "le" not in sample.labels:
                values = found.setdefault(proton, {})
                values[sample.name] = values.get(sample.name, 0) + sample.value
    return found


def check(values: dict[str, float]) -> None:
    finished = values["gateway_requests_finished_total"]
    load = values["gateway_requests_in_flight"] + values["gateway_requests_queued"]
    assert values["gateway_requests_started_total"] == finished + load
    assert values["gateway_request_duration_seconds_count"] == finished


def test_metrics_add_up_at_whichever_piece_requests_come_and_go_in_between() -> None:
    pieces = sum(1 for _ in scene("a", "b")[0].render())
    for pause_at in range(pieces):
        admin, protons = scene("a", "b")
        parts = []
        for index, part in enumerate(admin.render()):
            parts.append(part)
            if index == pause_at:
                for proton in protons:
                    leave(proton)
                    arrive(proton)
                    arrive(proton)
        found = sums("".join(parts))
        assert set(found) == {"a", "b"}
        for values in found.values():
            check(values)


def test_samples_of_one_metric_stand_together() -> None:
    admin, _ = scene("a", "b")
    names = [
        line.partition("{")[0]
        for line in "".join(admin.render()).splitlines()
        if not line.startswith("#")
    ]
    runs = [name for name, before in zip(names, ["", *names], strict=False) if name != before]
    once = [name for name in runs if "duration" not in name]  # a histogram is one of three names
    assert len(once) == len(set(once))
    list(text_string_to_metric_families("".join(admin.render())))


def test_a_proton_without_a_request_is_not_shown() -> None:
    admin, protons = scene("a")
    protons[0].meter.started = 0

    assert sums("".join(admin.render())) == {}
