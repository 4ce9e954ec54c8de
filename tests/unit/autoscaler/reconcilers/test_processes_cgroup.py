"""Limits by the kernel, on a directory that looks like a cgroup tree."""

from pathlib import Path

import pytest

from autoscaler.reconcilers.processes_cgroup import CgroupTree
from controlplane.model.artifacts import Resources

LIMITS = Resources(cpu=0.5, memory_bytes=1_000_000)
LIMIT_FILES = ("cgroup.procs", "memory.max", "memory.oom.group", "memory.swap.max", "cpu.max")


class FakeTree:
    """A mount with a group for this process, two levels deep."""

    def __init__(self, directory: Path) -> None:
        self.mount = directory / "cgroup"
        self.slice = self.mount / "user.slice"
        self.own = self.slice / "session.scope"
        self.own.mkdir(parents=True)
        self.own_file = directory / "self"
        self.own_file.write_text("1:name=systemd:/x\n0::/user.slice/session.scope\n")

    def enable(self, place: Path, controllers: str) -> None:
        (place / "cgroup.subtree_control").write_text(controllers)

    def find(self) -> CgroupTree | None:
        return CgroupTree.find(mount=self.mount, own=self.own_file)

    def group(self, name: str) -> Path:
        """A group with the files that the kernel would make, as a plain directory."""
        path = self.slice / f"tidegate-{name}"
        path.mkdir()
        for file in LIMIT_FILES:
            (path / file).touch()
        return path


@pytest.fixture
def tree(tmp_path: Path) -> FakeTree:
    return FakeTree(tmp_path)


def test_groups_are_made_beside_our_own_where_children_have_controllers(tree: FakeTree):
    tree.enable(tree.slice, "cpu io memory pids")
    found = tree.find()
    assert found is not None
    assert found.parent == tree.slice
    assert found.controllers == {"cpu", "memory"}


def test_a_group_below_our_own_is_preferred(tree: FakeTree):
    tree.enable(tree.own, "cpu memory")
    tree.enable(tree.slice, "cpu memory")
    found = tree.find()
    assert found is not None
    assert found.parent == tree.own


@pytest.mark.parametrize("controllers", ["", "pids io"])
def test_without_controllers_there_is_no_place(tree: FakeTree, controllers: str):
    tree.enable(tree.slice, controllers)
    assert tree.find() is None


def test_in_the_root_group_only_the_root_is_a_place(tree: FakeTree):
    tree.own_file.write_text("0::/\n")
    tree.enable(tree.mount, "memory cpu")
    found = tree.find()
    assert found is not None
    assert found.parent == tree.mount


@pytest.mark.parametrize("text", ["", "4:memory:/x\n"])
def test_without_a_unified_group_there_is_no_place(tree: FakeTree, text: str):
    tree.own_file.write_text(text)
    assert tree.find() is None


def test_where_the_kernel_has_no_cgroups_there_is_no_place(tree: FakeTree):
    tree.own_file.unlink()
    assert tree.find() is None


def test_limits_are_written_and_a_process_moves_in(tree: FakeTree):
    path = tree.group("r")
    group = CgroupTree(tree.slice, frozenset({"cpu", "memory"})).make("r", LIMITS)
    assert group is not None
    assert (group.memory, group.cpu) == (True, True)
    assert (path / "memory.max").read_text() == "1000000"
    assert (path / "memory.oom.group").read_text() == "1"
    assert (path / "memory.swap.max").read_text() == "0"
    assert (path / "cpu.max").read_text() == "50000 100000"
    group.add(4711)
    assert (path / "cgroup.procs").read_text() == "4711"


def test_only_the_controllers_that_are_there_are_used(tree: FakeTree):
    path = tree.group("r")
    group = CgroupTree(tree.slice, frozenset({"cpu"})).make("r", LIMITS)
    assert group is not None
    assert (group.memory, group.cpu) == (False, True)
    assert (path / "memory.max").read_text() == ""


def test_a_tiny_share_of_cpu_is_what_the_kernel_can_do_at_least(tree: FakeTree):
    path = tree.group("r")
    CgroupTree(tree.slice, frozenset({"cpu"})).make("r", Resources(cpu=0.001))
    assert (path / "cpu.max").read_text() == "1000 100000"


def test_nothing_to_limit_makes_no_group(tree: FakeTree):
    assert CgroupTree(tree.slice, frozenset({"cpu", "memory"})).make("r", Resources()) is None


def test_a_kernel_that_refuses_leaves_no_group_behind(tree: FakeTree):
    # A fresh directory of a plain file system has no memory.max: like a missing controller.
    assert CgroupTree(tree.slice, frozenset({"memory"})).make("r", LIMITS) is None
    assert not (tree.slice / "tidegate-r").exists()


@pytest.mark.parametrize(
    ("events", "expected"),
    [("low 0\noom_kill 2\n", True), ("low 0\noom_kill 0\n", False), ("", False), (None, False)],
)
def test_whether_memory_ran_out(tree: FakeTree, events: str | None, expected: bool):
    path = tree.group("r")
    group = CgroupTree(tree.slice, frozenset({"memory"})).make("r", LIMITS)
    assert group is not None
    if events is not None:
        (path / "memory.events").write_text(events)
    assert group.ran_out_of_memory() is expected


def test_an_empty_group_goes_and_a_full_one_stays(tree: FakeTree):
    path = tree.group("r")
    group = CgroupTree(tree.slice, frozenset({"memory"})).make("r", LIMITS)
    assert group is not None
    group.remove()
    assert path.exists()
    for file in LIMIT_FILES:
        (path / file).unlink()
    group.remove()
    assert not path.exists()
