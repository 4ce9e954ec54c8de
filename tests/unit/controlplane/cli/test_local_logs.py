from controlplane.cli.local_logs import LogReader, find_sources
from controlplane.model.states import ReplicaPhase
from controlplane.model.workloads import Replica


def replica(name: str, workload: str, path: str | None) -> Replica:
    return Replica(
        id=name,
        workload_id=workload,
        proton_id="p",
        phase=ReplicaPhase.READY,
        created_at=0.0,
        log_path=path,
    )


def test_a_reader_starts_with_the_tail_and_goes_on_line_by_line(tmp_path):
    path = tmp_path / "output.log"
    (tmp_path / "output.log.1").write_bytes(b"one\n")
    path.write_bytes(b"two\nthree\n")
    reader = LogReader(path)
    assert reader.tail(2) == ["two", "three"]
    assert LogReader(path).tail(9) == ["one", "two", "three"]
    assert LogReader(path).tail(0) == []
    with path.open("ab") as file:
        file.write(b"four\nfi")
        file.flush()
        assert reader.read_new() == ["four"]
        file.write(b"ve\n")
        file.flush()
        assert reader.read_new() == ["five"]
    assert reader.read_new() == []


def test_a_reader_survives_rotation_and_absence(tmp_path):
    path = tmp_path / "output.log"
    reader = LogReader(path)
    assert reader.tail(5) == []
    assert reader.read_new() == []
    path.write_bytes(b"a long first line\n")
    assert reader.read_new() == ["a long first line"]
    path.write_bytes(b"new\n")
    assert reader.read_new() == ["new"]


def test_sources_are_what_runs_and_ended_ones_on_request(tmp_path):
    for name in ("r1", "r2", "r3"):
        (tmp_path / "replicas" / "w" / name).mkdir(parents=True)
    records = [
        replica("r3", "w", str(tmp_path / "replicas" / "w" / "r3" / "output.log")),
        replica("r9", "other", "elsewhere"),
        replica("r4", "w", None),
    ]
    found = find_sources(tmp_path, "w", records, ended=False)
    assert [(s.replica_id, s.running) for s in found] == [("r3", True)]
    found = find_sources(tmp_path, "w", records, ended=True)
    assert [(s.replica_id, s.running) for s in found] == [
        ("r1", False),
        ("r2", False),
        ("r3", True),
    ]


def test_without_a_running_replica_the_last_that_ended_is_a_source(tmp_path):
    assert find_sources(tmp_path, "w", [], ended=False) == []
    for name in ("r1", "r2"):
        (tmp_path / "replicas" / "w" / name).mkdir(parents=True)
    [source] = find_sources(tmp_path, "w", [], ended=False)
    assert source.path == tmp_path / "replicas" / "w" / "r2" / "output.log"
