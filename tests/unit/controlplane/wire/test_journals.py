"""What the answer's form of an event says beyond its record."""

import pytest

from controlplane.model.events import EventType
from controlplane.model.workloads import Event
from controlplane.wire.journals import EventFormatted

OTHER = "d" * 24


@pytest.mark.parametrize("kind", list(EventType))
def test_events_about_capacity_name_the_workloads_that_their_reader_may_know(kind):
    message = f"gave way to workload {OTHER} (high)"
    event = Event(
        id="e" * 24, workload_id="b" * 24, at=1.0, type=kind, details={"message": message}
    )
    told = EventFormatted.of(event, {OTHER: "chat"}.get).details["message"]
    named = kind in {EventType.CAPACITY_REFUSED, EventType.REPLICAS_PREEMPTED}
    assert told == (f"gave way to workload 'chat' {OTHER} (high)" if named else message)
    assert event.details == {"message": message}, "the record stays as it is"
