from pathlib import Path

import pytest

from controlplane.telemetry.records import Batch, Position
from controlplane.telemetry.tails import MAX_LINE, Tails, left_behind


class Output:
    """A replica's file, as the replica and the reconciler treat it."""

    def __init__(self, directory: Path, replica_id: str = "r1") -> None:
        self.path = directory / replica_id / "output.log"
        self.path.parent.mkdir(parents=True)
        self.position = Position(
            replica_id=replica_id, workload_id="w", proton_id="p", path=str(self.path), offset=0
        )

    def write(self, text: str) -> None:
        with self.path.open("a") as file:
            file.write(text)

    def rotate(self) -> None:
        self.path.with_name("output.log.1").write_bytes(self.path.read_bytes())
        self.path.write_bytes(b"")


class Kept:
    """Where batches go."""

    def __init__(self) -> None:
        self.batches: list[Batch] = []
        self.full = False
        self.allowed = 1e9
        self.tails = Tails(self._submit, allowed=lambda _: self.allowed, spent=lambda _, __: None)

    def _submit(self, batch: Batch) -> bool:
        if not self.full:
            self.batches.append(batch)
        return not self.full

    @property
    def lines(self) -> list[str]:
        return [record.message for batch in self.batches for record in batch.logs]

    @property
    def position(self) -> Position:
        found = self.batches[-1].position
        assert found is not None
        return found

    def look(self, *present: Position) -> list[str]:
        before = len(self.lines)
        self.tails.follow(present)
        self.tails.step()
        return self.lines[before:]


@pytest.fixture
def output(tmp_path: Path) -> Output:
    return Output(tmp_path)


@pytest.fixture
def kept() -> Kept:
    return Kept()


def test_lines_come_whole_once_and_in_order(output, kept):
    assert kept.look(output.position) == []
    output.write("one\ntw")
    assert kept.look(output.position) == ["one"]
    assert kept.look(output.position) == []
    output.write("o\r\n\nthree\n")
    assert kept.look(output.position) == ["two", "three"]
    assert kept.position.offset == len("one\ntwo\r\n\nthree\n")


def test_lines_of_one_look_have_different_times_in_order(output, kept):
    output.write("a\nb\nc\n")
    kept.look(output.position)
    times = [record.time_ns for record in kept.batches[0].logs]
    assert times == sorted(set(times))


def test_who_wrote_a_line_is_said(output, kept):
    output.write("a\n")
    kept.look(output.position)
    resource = kept.batches[0].logs[0].resource
    assert (resource["workload_id"], resource["proton_id"], resource["replica_id"]) == (
        "w",
        "p",
        "r1",
    )


def test_a_rotated_files_rest_is_read_first_even_its_broken_line(output, kept):
    output.write("one\n")
    kept.look(output.position)
    output.write("two\nthr")
    output.rotate()
    output.write("ee\n")
    assert kept.look(output.position) == ["two", "thr"]
    assert kept.look(output.position) == ["ee"]
    assert kept.look(output.position) == []


def test_a_rotation_without_a_rest_loses_nothing(output, kept):
    output.write("a long first line\n")
    kept.look(output.position)
    output.rotate()
    output.write("two\n")
    assert kept.look(output.position) == ["two"]


def test_last_words_without_a_line_end_are_kept_once_and_then_the_file_is_forgotten(output, kept):
    output.write("one\nlast words")
    kept.look(output.position)
    assert kept.look() == ["last words"]
    assert kept.position.ended
    assert kept.look() == []
    assert kept.look(output.position) == []
    kept.tails.resume([output.position])
    assert kept.look() == []


def test_a_replica_that_was_found_before_its_record_is_read_on(output, kept):
    output.write("one\n")
    kept.tails.resume([output.position])
    assert kept.look() == ["one"]
    output.write("two\n")
    assert kept.look(output.position) == ["two"]


def test_a_replica_that_wrote_nothing_is_forgotten_with_its_file(output, kept):
    output.write("")
    kept.look(output.position)
    kept.look()
    assert kept.batches == []
    output.path.unlink(missing_ok=True)
    kept.tails.resume([output.position])
    kept.look()
    assert kept.position.gone


def test_nothing_is_lost_while_too_much_waits(output, kept):
    output.write("one\n")
    kept.full = True
    assert kept.look(output.position) == []
    kept.full = False
    output.write("two\n")
    assert kept.look(output.position) == ["one", "two"]


def test_a_workload_above_its_rate_is_read_later(output, kept):
    output.write("one\n")
    kept.allowed = -5
    assert kept.look(output.position) == []
    kept.allowed = MAX_LINE
    assert kept.look(output.position) == ["one"]


def test_an_endless_line_comes_in_pieces(output, kept):
    output.write("x" * (MAX_LINE + 10))
    assert [len(line) for line in kept.look(output.position)] == [MAX_LINE]
    output.write("y\n")
    assert kept.look(output.position) == ["x" * 10 + "y"]


def test_a_new_process_goes_on_where_the_old_one_was(output, kept):
    output.write("one\n")
    kept.look(output.position)
    later = Kept()
    later.tails.resume([kept.position])
    output.write("two\n")
    assert later.look(output.position) == ["two"]


def test_a_file_that_is_gone_ends(tmp_path, kept):
    gone = Position(
        replica_id="r", workload_id="w", proton_id="p", path=str(tmp_path / "no"), offset=9
    )
    kept.look(gone)
    assert kept.batches == []
    kept.look()
    assert kept.position.gone


def test_outputs_that_nobody_read_are_found_by_their_time(tmp_path):
    output = Output(tmp_path / "replicas" / "w1", "r7")
    output.write("a\n")
    changed_s = output.path.stat().st_mtime
    [found] = left_behind(tmp_path, newer_than_s=changed_s - 1)
    assert (found.workload_id, found.replica_id, found.offset) == ("w1", "r7", 0)
    assert left_behind(tmp_path, newer_than_s=changed_s) == []
