"""All cases, by feature, in the page's order."""

from typing import Final

from tests.conformance.cases import added, connections, fields, framing, requests, responses
from tests.conformance.script import Case, Group

GROUPS: Final[tuple[Group, ...]] = (
    *requests.GROUPS,
    *fields.GROUPS,
    *added.GROUPS,
    *framing.GROUPS,
    *responses.GROUPS,
    *connections.GROUPS,
)
CASES: Final[tuple[Case, ...]] = tuple(case for group in GROUPS for case in group.cases)
