"""From a target to a workload and the path that its replica sees."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.routing import DEPLOYMENTS, WORKLOADS, Target, read_target

ID = b"0123456789abcdef01234567"


@pytest.mark.parametrize(
    ("rest", "path", "pin"),
    [
        pytest.param(b"", b"/", None, id="no-slash-after-the-id"),
        pytest.param(b"/", b"/", None, id="bare"),
        pytest.param(b"/a/b", b"/a/b", None, id="path"),
        pytest.param(b"/a?x=1&y", b"/a?x=1&y", None, id="query"),
        pytest.param(b"?x=1", b"/?x=1", None, id="query-right-after-the-id"),
        pytest.param(b"?x=/a/b", b"/?x=/a/b", None, id="slashes-in-a-query-are-no-path"),
        pytest.param(b"/?", b"/?", None, id="empty-query-stays"),
        pytest.param(b"//evil.example/", b"//evil.example/", None, id="double-slash-stays"),
        pytest.param(b"/a/../b/./c", b"/a/../b/./c", None, id="dots-are-not-resolved"),
        pytest.param(b"/%2e%2E/%zz%00", b"/%2e%2E/%zz%00", None, id="escapes-are-not-decoded"),
        pytest.param(b"/a+b%20c?d+e", b"/a+b%20c?d+e", None, id="spaces-stay-as-written"),
        pytest.param(b"/a;b=1,c'd\"", b"/a;b=1,c'd\"", None, id="odd-characters-stay"),
        pytest.param(b"?protonId=p1", b"/", b"p1", id="pin-alone-leaves-no-question-mark"),
        pytest.param(b"/a?protonId=p1&x=1", b"/a?x=1", b"p1", id="pin-first"),
        pytest.param(b"/a?x=1&protonId=p1", b"/a?x=1", b"p1", id="pin-last"),
        pytest.param(b"/a?x&protonId=p1&y", b"/a?x&y", b"p1", id="pin-between"),
        pytest.param(b"/a?protonId=p1&protonId=p2", b"/a", b"p2", id="the-last-pin-counts"),
        pytest.param(b"/a?protonId=", b"/a", b"", id="an-empty-pin-is-a-pin"),
        pytest.param(b"/a?protonId", b"/a?protonId", None, id="a-name-without-value-is-no-pin"),
        pytest.param(b"/a?myprotonId=p1", b"/a?myprotonId=p1", None, id="another-name"),
        pytest.param(b"/a?protonid=p1", b"/a?protonid=p1", None, id="names-are-case-sensitive"),
        pytest.param(b"/protonId=p1", b"/protonId=p1", None, id="no-pin-in-the-path"),
        pytest.param(b"/a?x=?protonId=p1", b"/a?x=?protonId=p1", None, id="only-after-ampersand"),
        pytest.param(b"/a?&&protonId=p1&", b"/a?&&", b"p1", id="empty-parts-stay"),
    ],
)
@pytest.mark.parametrize(
    ("prefix", "deployment"), [(WORKLOADS, False), (DEPLOYMENTS, True)], ids=["workload", "depl"]
)
def test_targets_of_invoke_urls(prefix, deployment, rest, path, pin):
    assert read_target(prefix + ID + rest) == Target(deployment, ID, path, pin, prefix + ID)


@pytest.mark.parametrize(
    "target",
    [
        pytest.param(b"/", id="root"),
        pytest.param(b"*", id="asterisk"),
        pytest.param(b"/api/v2/workloads/" + ID, id="the-api"),
        pytest.param(b"/api/v2/endpoints/workloads", id="no-slash"),
        pytest.param(b"/API/v2/endpoints/workloads/" + ID, id="other-case"),
        pytest.param(b"//api/v2/endpoints/workloads/" + ID, id="double-slash"),
        pytest.param(b"/api/v2/endpoints/%77orkloads/" + ID, id="escaped"),
        pytest.param(b"/x" + WORKLOADS + ID, id="in-the-middle"),
        pytest.param(b"/?" + WORKLOADS + ID, id="in-the-query"),
    ],
)
def test_everything_else_is_no_invoke_url(target):
    assert read_target(target) is None


@pytest.mark.parametrize("rest", [b"", b"/", b"//a", b"?x=1"])
def test_an_empty_id_names_nobody(rest):
    target = read_target(WORKLOADS + rest)
    assert target is not None
    assert target.id == b""


_TEXT = st.text("ab/?&=%.;#protnId", max_size=40).map(str.encode)


@given(rest=st.one_of(_TEXT, st.binary(max_size=40)))
def test_without_a_pin_the_path_is_the_rest_of_the_target_byte_by_byte(rest):
    target = WORKLOADS + ID + b"/" + rest
    found = read_target(target)
    assert found is not None
    if found.pin is None:
        assert target == WORKLOADS + found.id + found.path


@given(
    path=st.text("ab/%.;", max_size=20).map(str.encode),
    before=st.lists(st.text("xyprotonId=?/", max_size=12).map(str.encode), max_size=3),
    pin=st.text("p12", max_size=5).map(str.encode),
    after=st.lists(st.text("xyprotonId?/", max_size=12).map(str.encode), max_size=3),
)
def test_with_a_pin_everything_else_of_the_target_stays(path, before, pin, after):
    before = [part for part in before if not part.startswith(b"protonId=")]
    query = [*before, b"protonId=" + pin, *after]
    found = read_target(WORKLOADS + ID + b"/" + path + b"?" + b"&".join(query))
    assert found is not None
    assert found.pin == pin
    kept = b"&".join([*before, *after])
    expected = b"/" + path + (b"?" + kept if before or after else b"")
    assert found.path == expected


@given(ident=st.text("abc-%._", max_size=30).map(str.encode), rest=_TEXT)
def test_the_id_ends_at_the_first_slash_or_question_mark(ident, rest):
    found = read_target(DEPLOYMENTS + ident + b"/" + rest)
    assert found is not None
    assert found.id == ident
    assert found.path.startswith(b"/")
