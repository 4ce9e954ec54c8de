"""What cannot be read in the store is counted each time and told once."""

from controlplane.store.unreadable import MAX_TOLD, Unreadable


def test_a_place_is_told_once_and_counted_each_time(caplog):
    unreadable = Unreadable()
    for _ in range(3):
        unreadable.tell("here", ValueError("broken"), worker_id="w1")
    [told] = caplog.records
    assert (told.place, told.error, told.worker_id) == ("here", "broken", "w1")
    assert unreadable.count == 3


def test_what_is_remembered_has_a_bound(caplog):
    unreadable = Unreadable()
    for place in range(MAX_TOLD + 5):
        unreadable.tell(str(place), ValueError("broken"))
    assert len(caplog.records) == MAX_TOLD
    assert unreadable.count == MAX_TOLD + 5
