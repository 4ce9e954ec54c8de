from datetime import UTC, datetime

import pytest

from controlplane.cli.audit import times, told
from controlplane.cli.errors import CliError

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)


def line(*changes, action="updated"):
    return {
        "action": action,
        "changes": [{"field": f, "before": before, "after": after} for f, before, after in changes],
    }


def test_changes_are_told_as_before_and_after():
    told_ = told(line(("importance", "low", "high"), ("roles.x", None, "USER")))
    assert told_ == "importance: low -> high, roles.x: - -> USER"


def test_what_is_created_is_not_told_field_by_field():
    assert told(line(("name", None, "w"), action="created")) == ""


def test_long_values_are_cut_for_the_table():
    assert len(told(line(("description", "", "x" * 1000)))) < 100


def test_times_are_told_as_people_type_them():
    assert times("15m", "2026-01-31T11:59", now=NOW) == {
        "since": "2026-01-31T11:45:00+00:00",
        "until": "2026-01-31T11:59:00+00:00",
    }
    assert times(None, None, now=NOW) == {}
    with pytest.raises(CliError, match="'soon' is no time"):
        times(None, "soon", now=NOW)
