"""Nodes, bins and room: exact counts."""

import pytest

from autoscaler.core.capacity_room import NO_GPU, Bin, GpuModel, Node, Nodes, Room, Seat, Spot
from controlplane.model.bundles import ReplicaNeeds

GIB = 2**30
NODES = Nodes(
    [
        Node(name="plain", cpu=4.0, memory_bytes=8 * GIB),
        Node(
            name="mixed",
            cpu=8.0,
            memory_bytes=32 * GIB,
            gpus=(
                GpuModel(type="NVIDIA L4", memory_bytes=24 * GIB, count=2),
                GpuModel(type="NVIDIA A100-SXM4-80GB", memory_bytes=80 * GIB, count=4),
                GpuModel(type="oddity", count=1),
            ),
        ),
    ]
)


@pytest.mark.parametrize(
    ("needs", "bins"),
    [
        (ReplicaNeeds(), [Bin(0, NO_GPU), Bin(1, NO_GPU)]),
        (ReplicaNeeds(cpu=5.0), [Bin(1, NO_GPU)]),
        (ReplicaNeeds(memory_bytes=33 * GIB), []),
        (ReplicaNeeds(gpus=1), [Bin(1, 0), Bin(1, 1), Bin(1, 2)]),
        (ReplicaNeeds(gpus=2), [Bin(1, 0), Bin(1, 1)]),
        (ReplicaNeeds(gpus=1, gpu_type="a100"), [Bin(1, 1)]),
        (ReplicaNeeds(gpus=1, gpu_memory_bytes=40 * GIB), [Bin(1, 1)]),
        (ReplicaNeeds(gpus=1, cpu=9.0), []),
        (ReplicaNeeds(gpus=5), []),
    ],
)
def test_where_a_replica_fits_on_empty_nodes(needs: ReplicaNeeds, bins: list[Bin]):
    assert list(NODES.shape(needs).bins) == bins
    assert NODES.shape(needs) is NODES.shape(needs)


@pytest.mark.parametrize(
    ("needs", "most"),
    [
        (ReplicaNeeds(), None),
        (ReplicaNeeds(cpu=3.0), 1 + 2),
        (ReplicaNeeds(memory_bytes=8 * GIB), 1 + 4),
        (ReplicaNeeds(gpus=2), 1 + 2),
        (ReplicaNeeds(gpus=1, cpu=4.0), 2 + 2 + 1),
        (ReplicaNeeds(gpus=5), 0),
    ],
)
def test_how_many_could_ever_run_is_bounded_by_the_scarcest(needs: ReplicaNeeds, most: int | None):
    assert NODES.shape(needs).most == most


@pytest.mark.parametrize(
    ("needs", "share"),
    [
        (ReplicaNeeds(), 0.0),
        (ReplicaNeeds(cpu=3.0, memory_bytes=4 * GIB), 0.25),
        (ReplicaNeeds(cpu=0.0, memory_bytes=10 * GIB), 0.25),
        (ReplicaNeeds(gpus=1, gpu_type="a100"), 0.25),
        (ReplicaNeeds(gpus=1, gpu_type="h100"), 1.0),
    ],
)
def test_the_share_is_the_largest_part_of_any_resource(needs: ReplicaNeeds, share: float):
    assert NODES.shape(needs).share == share


@pytest.mark.parametrize(
    ("spot", "place"),
    [
        (Spot("plain", None), Bin(0, NO_GPU)),
        (Spot("mixed", "NVIDIA L4"), Bin(1, 0)),
        (Spot("mixed", "gone"), None),
        (Spot("gone", None), None),
    ],
)
def test_bins_have_names(spot: Spot, place: Bin | None):
    assert NODES.bin(spot) == place
    assert place is None or NODES.spot(place) == spot


def test_what_is_taken_is_gone_until_it_is_given_back():
    room = Room(NODES)
    shape = NODES.shape(ReplicaNeeds(cpu=0.1, memory_bytes=GIB, gpus=2))
    place = Bin(1, 0)
    assert room.fits(shape, place)
    room.take(shape, place)
    assert not room.fits(shape, place)
    assert (room.cpu, room.memory, room.gpus) == (
        [4000, 7900],
        [8 * GIB, 31 * GIB],
        [[], [0, 4, 1]],
    )
    room.take_all([Seat(place, shape)], -1)
    assert room.fits(shape, place)


def test_tenths_of_cores_add_up():
    room = Room(NODES)
    tenth = NODES.shape(ReplicaNeeds(cpu=0.1))
    for _ in range(40):
        assert room.fits(tenth, Bin(0, NO_GPU))
        room.take(tenth, Bin(0, NO_GPU))
    assert not room.fits(tenth, Bin(0, NO_GPU))


def test_who_needs_none_of_what_is_short_still_fits():
    room = Room(NODES)
    room.take(NODES.shape(ReplicaNeeds(cpu=9.0, memory_bytes=33 * GIB)), Bin(1, NO_GPU))
    assert room.fits(NODES.shape(ReplicaNeeds(gpus=1)), Bin(1, 0))


def test_the_best_bin_is_the_fullest_that_has_room_at_once():
    room, now = Room(NODES), Room(NODES)
    shape = NODES.shape(ReplicaNeeds(gpus=1, gpu_memory_bytes=20 * GIB))
    assert room.best(shape, now) == Bin(1, 0), "2 L4 are fewer than 4 A100"
    now.take(shape, Bin(1, 0), 2)
    assert room.best(shape, now) == Bin(1, 1), "both L4 are not free yet"
    room.take(shape, Bin(1, 0), 2)
    room.take(shape, Bin(1, 1), 4)
    assert room.best(shape, now) is None
