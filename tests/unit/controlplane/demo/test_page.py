import re
from html.parser import HTMLParser

from controlplane.demo.page import page
from tests.unit.controlplane.demo.test_report import outcome, story

VOID = {"meta", "img"}


class Balanced(HTMLParser):
    """Fails on tags that are not closed in order; collects what would be fetched."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.fetched: list[str] = []

    def handle_starttag(self, tag, attrs):
        if tag not in VOID:
            self.open.append(tag)
        self.fetched += [value or "" for name, value in attrs if name in {"src", "href"}]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_page_is_well_formed_and_needs_nothing_else():
    text = page(story(), b"\x89PNG")
    parser = Balanced()
    parser.feed(text)
    parser.close()
    assert parser.open == []
    assert parser.fetched == ["data:image/png;base64,iVBORw=="]
    assert not re.search(r"https?://|@import|url\(", text)


def test_the_page_says_what_happened():
    text = page(story(), b"")
    assert "Every request was answered" in text
    assert "wake_up" in text
    assert "burst" in text


def test_problems_are_shown_and_escaped():
    text = page(story(outcomes=[outcome("first", 1.0, None, "<b>&")]), b"")
    assert "Not as it should be" in text
    assert "&lt;b&gt;&amp;" in text
    assert "<b>&" not in text
