from datetime import UTC, datetime, timedelta, timezone

import pytest

from controlplane.cli.errors import CliError
from controlplane.cli.since import parse_since

HERE = timezone(timedelta(hours=9))
NOW = datetime(2026, 1, 31, 12, tzinfo=HERE)


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("90s", NOW - timedelta(seconds=90)),
        ("15m", NOW - timedelta(minutes=15)),
        (" 2h ", NOW - timedelta(hours=2)),
        ("3d", NOW - timedelta(days=3)),
        ("2026-01-31T10:00", datetime(2026, 1, 31, 10, tzinfo=HERE)),
        ("2026-01-31", datetime(2026, 1, 31, tzinfo=HERE)),
        ("2026-01-31T10:00:00Z", datetime(2026, 1, 31, 10, tzinfo=UTC)),
    ],
)
def test_a_time_is_ago_or_at_a_point(text, at):
    assert parse_since(text, now=NOW) == at


@pytest.mark.parametrize("text", ["", "soon", "15", "15w", "-5m", "999999999d", "2026-13-01"])
def test_what_is_no_time_is_refused(text):
    with pytest.raises(CliError, match="is no time"):
        parse_since(text, now=NOW)
