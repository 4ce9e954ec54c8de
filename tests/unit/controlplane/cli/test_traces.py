from typing import Any

import pytest

from controlplane.cli.traces import read_trace, tree


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


class Pages:
    """Answers one page after the other, each with a link to the next."""

    def __init__(self, *sizes: int) -> None:
        self.sizes, self.asked = list(sizes), []

    def call(self, verb: str, path: str, *, query: dict[str, Any]) -> dict[str, Any]:
        self.asked.append(query)
        spans = [span(f"{len(self.asked)} {n}", None) for n in range(self.sizes.pop(0))]
        link = f"http://api/{path}?offset={len(self.asked)}&limit=1000" if self.sizes else None
        return {"spans": spans, "next": link, "totalCount": 5000}


def test_spans_on_several_pages_are_one_trace(capsys):
    api = Pages(3, 2)
    assert len(read_trace(api, "t")["spans"]) == 5
    assert api.asked == [{"limit": 1000}, {"offset": "1", "limit": "1000"}]
    assert capsys.readouterr().err == ""


def test_spans_that_are_too_many_are_told(capsys):
    api = Pages(600, 400, 5)
    assert len(read_trace(api, "t")["spans"]) == 1000
    assert api.sizes == [5]
    assert "only the first 1000 of 5000 spans" in capsys.readouterr().err


def test_deep_traces_need_no_deep_stack():
    spans = [span(str(number), str(number - 1)) for number in range(5000)]
    assert len(tree(spans)) == 5000
