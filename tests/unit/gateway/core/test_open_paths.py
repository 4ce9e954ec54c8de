import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.open_paths import DISABLED, OPTIONAL, REQUIRED, open_paths

AUTHS = (REQUIRED, OPTIONAL, DISABLED)


def route(path, auth=DISABLED):
    return {"path": path, "auth": auth}


def auth(path, *routes):
    found = open_paths([routes])
    assert found is not None
    return found.auth(path)


@pytest.mark.parametrize(
    ("path", "open_"),
    [
        (b"/open", True),
        (b"/open/", True),
        (b"/open/a/b.html", True),
        (b"/open?x=/../y%2f", True),
        (b"/open/.well-known/a..b", True),
        (b"/opening", False),
        (b"/Open", False),
        (b"/", False),
        (b"/other/open", False),
    ],
)
def test_a_path_covers_itself_and_what_is_below(path, open_):
    assert auth(path, route("/open")) == (DISABLED if open_ else REQUIRED)


@pytest.mark.parametrize(
    "path",
    [
        b"/open/../secret",
        b"/open/..",
        b"/open/./x",
        b"/open/.",
        b"/open//secret",
        b"//open",
        b"/open/%2e%2e/secret",
        b"/open%2f..%2fsecret",
        b"/open/..;/secret",
        b"/open;x=1",
        b"/open\\..\\secret",
        b"/open/\xc3\xa4",
        b"/open#x",
        b"*",
        b"http://h/open",
    ],
)
def test_a_path_that_could_be_read_as_another_one_needs_a_token(path):
    assert auth(path, route("/open")) == REQUIRED
    assert auth(path, route("/")) == REQUIRED


def test_the_longest_path_decides_in_whatever_order():
    routes = [route("/"), route("/a", REQUIRED), route("/a/b", OPTIONAL), route("/a/b/c")]
    for order in itertools.permutations(routes):
        assert auth(b"/x", *order) == DISABLED
        assert auth(b"/a/x", *order) == REQUIRED
        assert auth(b"/a/b/x", *order) == OPTIONAL
        assert auth(b"/a/b/c/x", *order) == DISABLED


@pytest.mark.parametrize("path", ["/open", "open", "/open/", "open/"])
def test_slashes_around_a_path_mean_nothing(path):
    assert auth(b"/open/x", route(path)) == DISABLED
    assert auth(b"/opening", route(path)) == REQUIRED


@pytest.mark.parametrize("path", ["/", ""])
def test_the_root_covers_everything(path):
    assert auth(b"/", route(path)) == DISABLED
    assert auth(b"/any/thing", route(path)) == DISABLED


@pytest.mark.parametrize("routes", [[], [[]], [[route("/a", REQUIRED)]], [[{"path": "/a"}]]])
def test_without_an_open_path_there_is_nothing_to_look_up(routes):
    assert open_paths(routes) is None


@pytest.mark.parametrize(("one", "other"), list(itertools.product(AUTHS, AUTHS)))
def test_of_several_protons_the_strictest_decides(one, other):
    also = route("/also")
    found = open_paths([[route("/a", one), also], [route("/a", other), also]])
    assert found.auth(b"/a") == min(one, other, key=AUTHS.index)
    assert found.auth(b"/also") == DISABLED


def test_a_proton_without_open_paths_closes_those_of_the_others():
    assert open_paths([[route("/a")], []]) is None


@given(st.binary(max_size=30))
def test_whatever_is_asked_what_is_not_below_an_open_path_stays_closed(path):
    below = path.partition(b"?")[0] in {b"/open", b"/open/"} or path.startswith(b"/open/")
    if not below:
        assert auth(path, route("/open")) == REQUIRED


def test_of_equal_paths_the_strictest_counts():
    paths = open_paths([[{"path": "/a", "auth": "disabled"}, {"path": "/a/", "auth": "required"}]])
    assert paths is not None
    assert paths.auth(b"/a/x") == "required"
