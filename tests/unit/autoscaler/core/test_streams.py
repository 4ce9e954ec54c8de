"""Open streams, counted together and named."""

import pytest

from autoscaler.core.streams import NO_STREAMS, by_replica, duration, in_words, together
from controlplane.model.reports import OpenStreams, WorkerNumbers

OLD = OpenStreams(open=1, silent_s=7300.0, client="10.0.0.7", protocol="websocket")
BUSY = OpenStreams(open=2, active=2, silent_s=0.5, client="10.0.0.9", protocol="websocket")
OTHER = OpenStreams(open=1, active=1, silent_s=1.0, client="unix", protocol="my-protocol")


@pytest.mark.parametrize(
    ("streams", "expected"),
    [
        pytest.param(NO_STREAMS, "", id="none"),
        pytest.param(OLD, "1 WebSocket, silent for 2 h, from 10.0.0.7", id="one"),
        pytest.param(BUSY, "2 WebSockets, all active", id="all-in-use"),
        pytest.param(OTHER, "1 tunnel, from unix", id="another-protocol"),
        pytest.param(
            together([BUSY, OLD]),
            "3 WebSockets, the longest silent for 2 h, from 10.0.0.7",
            id="several",
        ),
        pytest.param(
            together([OLD, OTHER]),
            "2 tunnels, the longest silent for 2 h, from 10.0.0.7",
            id="of-several-protocols",
        ),
        pytest.param(OpenStreams(open=1, silent_s=60), "1 tunnel, silent for 1 min", id="nobodys"),
    ],
)
def test_what_holds_a_count_up_is_named(streams, expected):
    assert in_words(streams) == expected


def test_counts_of_several_workers_add_up_and_the_longest_silence_is_told():
    assert together([]) == NO_STREAMS
    assert together([OLD]) is OLD
    assert together([BUSY, OLD]) == OpenStreams(
        open=3, active=2, silent_s=7300.0, client="10.0.0.7", protocol="websocket"
    )


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        pytest.param(12.7, "12 s", id="seconds"),
        pytest.param(60, "1 min", id="minutes"),
        pytest.param(7200, "2 h", id="hours"),
        pytest.param(200_000, "2 d", id="days"),
    ],
)
def test_durations(seconds, expected):
    assert duration(seconds) == expected


def test_tunnels_of_a_replica_add_up_over_the_workers():
    def said(streams):
        return WorkerNumbers(worker_id="w", clock_s=0.0, revision=1, streams=streams)

    found = by_replica([said({"r1": OLD}), said({"r1": BUSY, "r2": BUSY}), said({})])
    assert found == {"r1": together([OLD, BUSY]), "r2": BUSY}
