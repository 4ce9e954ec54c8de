"""Whether a page of changes goes on from where a reader is."""

import pytest

from controlplane.store.changes import _Page, _Position


def page(**fields) -> _Page:
    defaults = {
        "epoch": b"now",
        "revision": 100,
        "previous_epoch": b"before",
        "base": 90,
        "complete": True,
        "kinds": [(0, 100, [], [])],
    }
    return _Page(**{**defaults, **fields})


def position(**fields) -> _Position:
    defaults = {"epoch": b"now", "revision": 95, "since": [95], "floors": [0]}
    return _Position(**{**defaults, **fields})


@pytest.mark.parametrize(
    ("reader", "answer", "goes_on"),
    [
        pytest.param(position(), page(), True, id="same-history"),
        pytest.param(position(revision=100), page(), True, id="nothing-new"),
        pytest.param(position(revision=101), page(), False, id="the-store-went-back"),
        pytest.param(position(epoch=None), page(), False, id="nothing-read-yet"),
        pytest.param(position(epoch=b"other"), page(), False, id="another-store"),
        pytest.param(
            position(epoch=b"before", revision=90), page(), True, id="a-restart-that-lost-nothing"
        ),
        pytest.param(
            position(epoch=b"before", revision=91), page(), False, id="a-restart-that-lost-a-write"
        ),
        pytest.param(
            position(epoch=b"long-ago", revision=5), page(), False, id="two-restarts-missed"
        ),
        pytest.param(
            position(since=[40]), page(kinds=[(41, 100, [], [])]), False, id="deletes-forgotten"
        ),
        pytest.param(
            position(since=[41]), page(kinds=[(41, 100, [], [])]), True, id="no-delete-missed"
        ),
        pytest.param(
            position(since=[0], floors=[41]),
            page(kinds=[(41, 100, [], [])]),
            True,
            id="deletes-from-before-the-first-page",
        ),
        pytest.param(
            position(since=[0], floors=[41]),
            page(kinds=[(42, 100, [], [])]),
            False,
            id="deletes-forgotten-during-the-first-read",
        ),
    ],
)
def test_a_reader_goes_on_only_when_it_missed_nothing(reader, answer, goes_on):
    assert reader.continues(answer) is goes_on
