import pytest

from loadtests.options import own_parser
from loadtests.plan import OptionError, read_plan
from loadtests.shapes import Course, Shape

LOCUST = {"num_users": None, "run_time": None, "spawn_rate": None}


def plan(*words, **locust):
    return read_plan({**LOCUST, **vars(own_parser().parse_args(words)), **locust})


def test_without_options_one_user_comes_for_a_minute():
    found = plan()
    assert found.course == Course(shape=Shape.STEADY, users=1, base_users=1, run_s=60.0)
    assert found.calls.mix == {"json": 8, "stream": 1, "websocket": 1}


def test_an_open_loop_has_enough_users_and_a_replay_lasts_as_long_as_its_trace():
    assert plan("--shape", "rate").course.users == 100
    replay = plan("--shape", "replay", "--trace", "a.csv")
    assert (replay.course.users, replay.course.run_s) == (100, None)
    assert plan("--shape", "replay", "--trace", "a.csv", run_time=5).course.run_s == 5


def test_quiet_times_have_a_tenth_of_the_users_unless_told():
    assert plan("--shape", "spike", num_users=50).course.base_users == 5
    assert plan("--shape", "spike", "--base-users", "0", num_users=50).course.base_users == 0


def test_headers_are_read():
    assert plan("--header", "A: b:c", "--header", "D:e").calls.headers == {"A": "b:c", "D": "e"}


def test_a_body_comes_from_a_file(tmp_path):
    (tmp_path / "body").write_text("{}")
    found = plan("--body", f"@{tmp_path}/body", "--stream-body", "x").calls
    assert (found.body, found.stream_body) == ("{}", "x")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("--shape replay", "--trace FILE belong together"),
        ("--trace a.csv", "--trace FILE belong together"),
        ("--rate 0", "--rate 0.0: it must be above 0"),
        ("--trace-speed 0", "--trace-speed"),
        ("--trace-keep 0", "--trace-keep 0.0: it must be above 0"),
        ("--trace-keep 1.5", "--trace-keep 1.5: it must be at most 1"),
        ("--trace-from -1", "--trace-from"),
        ("--think -1", "--think"),
        ("--timeout 0", "--timeout"),
        ("--base-users 2", "--base-users 2: it must be 0 to --users, which is 1"),
        ("--base-users -1", "--base-users -1"),
        ("--period 0", "--period"),
        ("--ws-messages 0", "--ws-messages"),
        ("--ws-bytes 0", "--ws-bytes"),
        ("--json-path predict", "--json-path predict: it must be a path that begins with /"),
        ("--stream-path x", "--stream-path"),
        ("--ws-path x", "--ws-path"),
        ("--header Accept", "'NAME: VALUE'"),
        ("--body @nowhere/at/all", "--body @nowhere/at/all"),
        ("--stream-body @nowhere", "--stream-body @nowhere"),
        ("--mix json", "--mix 'json'"),
        ("--mix json=x", "--mix 'json=x'"),
        ("--mix json=-1", "--mix 'json=-1'"),
        ("--mix grpc=1", "--mix 'grpc=1' is not one of json, stream, websocket"),
        ("--mix json=0", "one weight must be above 0"),
    ],
)
def test_what_cannot_be_is_refused(words, says):
    with pytest.raises(OptionError) as caught:
        plan(*words.split())
    assert says in str(caught.value)
