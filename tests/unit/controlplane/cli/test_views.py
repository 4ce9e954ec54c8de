from controlplane.cli.views import Sample, make_views, rate_per_s
from controlplane.model.artifacts import ArtifactSpec
from controlplane.model.reports import LoadReport, ProtonLoad
from controlplane.model.states import Desired, ProtonState, ReplicaPhase
from controlplane.model.workloads import Proton, Replica, Runtime, Scale, Workload


def workload(name: str, **fields) -> Workload:
    return Workload(
        **{
            "id": f"w-{name}",
            "name": name,
            "artifact_id": "a",
            "runtime": Runtime(),
            "active_proton_id": f"p-{name}",
            "creator_id": "u",
            "created_at": 0.0,
            "updated_at": 0.0,
            **fields,
        }
    )


def proton(name: str, desired: Desired = Desired.RUNNING) -> Proton:
    return Proton(
        id=f"p-{name}",
        workload_id=f"w-{name}",
        artifact_id="a",
        spec=ArtifactSpec(),
        runtime=Runtime(),
        desired=desired,
        creator_id="u",
        created_at=0.0,
        updated_at=0.0,
    )


def scale(name: str, wanted: int, **fields) -> Scale:
    return Scale(
        **{
            "id": f"p-{name}",
            "workload_id": f"w-{name}",
            "wanted_replicas": wanted,
            "ready_replicas": 0,
            "state": ProtonState.RUNNING,
            "reason": "on_target",
            "updated_at": 0.0,
            **fields,
        }
    )


def replica(name: str, number: int, phase: ReplicaPhase) -> Replica:
    return Replica(
        id=f"r{number}", workload_id=f"w-{name}", proton_id=f"p-{name}", phase=phase, created_at=0.0
    )


def report(worker: str, clock_s: float, **started: int) -> LoadReport:
    return LoadReport(
        worker_id=worker,
        sent_at=0.0,
        clock_s=clock_s,
        revision=1,
        protons={
            f"p-{name}": ProtonLoad(
                workload_id=f"w-{name}",
                started=count,
                finished={"2xx": count - 3},
                in_flight=2,
                queued=1,
            )
            for name, count in started.items()
        },
    )


def sample(**fields) -> Sample:
    return Sample(
        **{
            "workloads": [],
            "protons": [],
            "scales": [],
            "replicas": [],
            "reports": [],
            **fields,
        }
    )


def test_a_view_sums_all_workers_and_counts_ready_replicas():
    now = sample(
        workloads=[workload("a")],
        protons=[proton("a")],
        scales=[scale("a", 3, message="all is well")],
        replicas=[
            replica("a", 1, ReplicaPhase.READY),
            replica("a", 2, ReplicaPhase.LAUNCHING),
            replica("b", 3, ReplicaPhase.READY),
        ],
        reports=[report("w1", 11.0, a=40), report("w2", 101.0, a=30)],
    )
    before = sample(reports=[report("w1", 10.0, a=10), report("w2", 100.0, a=20)])
    [view] = make_views(now, before)
    assert (view.name, view.state) == ("a", ProtonState.LAUNCHING)
    assert (view.started, view.finished, view.in_flight, view.queued) == (70, 64, 4, 2)
    assert view.load == 6
    assert view.rate_per_s == 40.0
    assert (view.wanted, view.ready, view.replicas) == (3, 1, 2)
    assert (view.reason, view.message) == ("on_target", "all is well")


def test_a_workload_without_a_decision_a_report_or_a_proton_is_shown_too():
    now = sample(
        workloads=[
            workload("z"),
            workload("b", active_proton_id=None),
            workload("gone", deleted_at=1.0),
        ],
        protons=[proton("z")],
    )
    b, z = make_views(now, None)
    assert (z.state, z.wanted, z.rate_per_s, z.reason) == (ProtonState.SUBMITTED, None, None, "")
    assert b.state is ProtonState.STOPPED


def test_a_rate_needs_two_reports_of_the_same_worker_with_time_between_them():
    assert rate_per_s([report("w1", 2.0, a=9)], [], "w-a") is None
    assert rate_per_s([report("w1", 2.0, a=9)], [report("w1", 2.0, a=9)], "w-a") is None
    assert rate_per_s([report("w2", 2.0, a=9)], [report("w1", 1.0, a=5)], "w-a") is None
    assert rate_per_s([report("w1", 3.0, a=9)], [report("w1", 1.0, a=5)], "w-a") == 2.0
    assert rate_per_s([report("w1", 3.0, a=9)], [report("w1", 1.0)], "w-a") == 4.5
    assert rate_per_s([report("w1", 3.0, a=9)], [report("w1", 1.0, a=5)], "w-b") == 0.0
