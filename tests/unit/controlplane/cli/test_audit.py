from controlplane.cli.audit import told


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
