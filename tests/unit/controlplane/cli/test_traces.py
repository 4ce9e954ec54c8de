from typing import Any

import pytest

from controlplane.cli.traces import tree


def span(span_id: str, parent: str | None) -> dict[str, Any]:
    return {"spanId": span_id, "parentSpanId": parent}


@pytest.mark.parametrize(
    ("spans", "shown"),
    [
        ([], []),
        ([("a", None)], [(0, "a")]),
        (
            [("a", "elsewhere"), ("b", "a"), ("c", "b"), ("d", "a")],
            [(0, "a"), (1, "b"), (2, "c"), (1, "d")],
        ),
        ([("b", "a"), ("a", None)], [(0, "a"), (1, "b")]),
        ([("a", None), ("b", None)], [(0, "a"), (0, "b")]),
        ([("a", "b"), ("b", "a")], [(0, "a"), (0, "b")]),
        ([("a", "a")], [(0, "a")]),
    ],
    ids=["none", "one", "nested", "parent later", "two roots", "a circle", "its own parent"],
)
def test_spans_stand_below_their_parents_and_none_is_lost(spans, shown):
    found = tree([span(*each) for each in spans])
    assert [(depth, each["spanId"]) for depth, each in found] == shown


def test_deep_traces_need_no_deep_stack():
    spans = [span(str(number), str(number - 1)) for number in range(5000)]
    assert len(tree(spans)) == 5000
