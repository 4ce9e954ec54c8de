"""The table of events in the control plane's README and the code name the same ones."""

import re

from controlplane.model.events import EventType
from tests.docs.render import ROOT

ROW = re.compile(r"^\| ([A-Z][a-z]+(?: [A-Z][a-z]+)+) \|", re.MULTILINE)
WRITERS = ("controlplane", "autoscaler")


def test_the_table_and_the_code_name_the_same_events():
    text = (ROOT / "controlplane/README.md").read_text()
    _, _, table = text.partition("| event | when | details |")
    rows = ROW.findall(table.partition("\n\n")[0])
    assert rows == [event.value for event in EventType]


def test_every_event_is_written_by_somebody():
    written = set()
    for package in WRITERS:
        for path in (ROOT / package).rglob("*.py"):
            written |= set(re.findall(r"EventType\.([A-Z_]+)", path.read_text()))
    assert written == set(EventType.__members__)


def test_nobody_writes_an_event_by_its_name_alone():
    for package in WRITERS:
        for path in (ROOT / package).rglob("*.py"):
            if path.name != "events.py":
                text = path.read_text()
                found = [event for event in EventType if f'"{event}"' in text]
                assert not found, path
