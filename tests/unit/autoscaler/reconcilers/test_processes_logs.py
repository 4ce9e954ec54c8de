"""What a replica leaves behind, and for how long."""

import os
from pathlib import Path

import pytest

from autoscaler.reconcilers.processes_logs import (
    KEPT_ENDED,
    KEPT_S,
    TAIL_LINES,
    ReplicaFiles,
    prune,
    prune_all,
)


@pytest.fixture
def files(tmp_path: Path) -> ReplicaFiles:
    made = ReplicaFiles(tmp_path, "w", "r")
    made.prepare()
    return made


def test_nothing_written_is_no_tail(files: ReplicaFiles):
    assert files.tail() == ()
    assert not files.rotate(1)


def test_the_tail_is_the_newest_lines_also_across_a_rotation(files: ReplicaFiles):
    for number in range(15):
        files.note(f"line {number}")
    assert files.rotate(10)
    assert files.output.stat().st_size == 0
    for number in range(15, 30):
        files.note(f"line {number}")
    assert files.tail() == tuple(f"tidegate: line {n}" for n in range(10, 30))
    assert files.tail(2) == ("tidegate: line 28", "tidegate: line 29")
    assert len(files.tail()) == TAIL_LINES


def test_a_log_below_the_limit_is_left_alone(files: ReplicaFiles):
    files.note("x")
    assert not files.rotate(1000)
    assert not files.older_output.exists()


def test_only_one_older_part_is_kept(files: ReplicaFiles):
    for word in ["first", "second", "third"]:
        files.note(word)
        files.rotate(1)
    assert files.older_output.read_text() == "tidegate: third\n"
    assert sorted(path.name for path in files.directory.iterdir()) == [
        "output.log",
        "output.log.1",
        "work",
    ]


def test_what_is_not_text_and_what_is_too_long_is_tamed(files: ReplicaFiles):
    files.output.write_bytes(b"\xff\xfe\n" + b"x" * 200_000)
    [line] = files.tail(1)
    assert line == "x" * 500
    files.output.write_bytes(b"\xff!\n")
    assert files.tail() == ("�!",)


def test_the_end_removes_the_working_directory_only(files: ReplicaFiles):
    (files.work / "cache").write_text("x")
    files.note("x")
    files.close()
    files.close()
    assert [path.name for path in files.directory.iterdir()] == ["output.log"]


def ended(root: Path, workload: str, count: int) -> list[str]:
    names = [f"{number:024x}" for number in range(count)]
    for name in names:
        ReplicaFiles(root, workload, name).prepare()
    return names


def test_the_newest_ended_are_kept_and_the_living_are_not_counted(tmp_path: Path):
    names = ended(tmp_path, "w", KEPT_ENDED + 4)
    live = {names[0], names[1]}
    assert prune(tmp_path, "w", live) == names[2:4]
    left = sorted(path.name for path in (tmp_path / "replicas" / "w").iterdir())
    assert left == [*names[:2], *names[4:]]
    assert (tmp_path / "replicas" / "w" / names[0] / "work").exists()
    assert not (tmp_path / "replicas" / "w" / names[-1] / "work").exists()
    assert prune(tmp_path, "w", live) == []
    assert prune(tmp_path, "unknown", live) == []


def test_what_ran_nothing_for_long_is_dropped_at_a_start(tmp_path: Path):
    prune_all(tmp_path, set(), now_s=0)
    [old] = ended(tmp_path, "old", 1)
    [living] = ended(tmp_path, "living", 1)
    ended(tmp_path, "new", 1)
    replicas = tmp_path / "replicas"
    for name in ["old", "living"]:
        os.utime(replicas / name, (0, 0))
    prune_all(tmp_path, {"x"}, now_s=KEPT_S)
    assert (replicas / "old" / old).exists()
    os.utime(replicas / "old", (0, 0))
    os.utime(replicas / "new", (KEPT_S, KEPT_S))
    os.rename(replicas / "living" / living, replicas / "living" / "alive")
    os.utime(replicas / "living", (0, 0))
    prune_all(tmp_path, {"alive"}, now_s=KEPT_S + 1)
    assert sorted(path.name for path in replicas.iterdir()) == ["living", "new"]
