import pytest

from loadtests.overhead.__main__ import QUICK_PEERS, _parser, _plan, main
from loadtests.overhead.cases import CASES, MAIN
from loadtests.overhead.peers import PEERS


def _planned(*arguments):
    return _plan(_parser().parse_args(arguments))


def test_everything_is_measured_in_five_rounds_unless_told_otherwise():
    plan = _planned()
    assert (len(plan.cases), len(plan.peers), plan.rounds) == (len(CASES), len(PEERS), 5)


def test_quick_is_the_main_case_against_three_peers():
    plan = _planned("--quick")
    assert [case.name for case in plan.cases] == [MAIN]
    assert tuple(peer.name for peer in plan.peers) == QUICK_PEERS
    assert plan.rounds == 3


def test_cases_peers_rounds_and_seconds_can_be_chosen():
    plan = _planned("--cases", "idle,events", "--peers", "caddy", "--rounds", "2", "--seconds", "3")
    assert [case.name for case in plan.cases] == ["events", "idle"]
    assert [peer.name for peer in plan.peers] == ["caddy"]
    assert (plan.rounds, plan.seconds_of(plan.cases[0])) == (2, 3)


def test_the_main_case_gets_more_time():
    plan = _planned()
    assert [plan.seconds_of(case) for case in plan.cases if case.name == MAIN] == [2]


@pytest.mark.parametrize(
    ("option", "value", "reason"),
    [
        ("--cases", "json-64,nope", "'nope' is none of"),
        ("--peers", "apache", "'apache' is none of"),
        ("--rounds", "0", "0 is less than 1"),
    ],
)
def test_what_cannot_be_measured_is_refused(option, value, reason, capsys):
    with pytest.raises(SystemExit):
        _planned(option, value)
    assert f"{option}: {reason}" in capsys.readouterr().err


@pytest.mark.parametrize("part", [["--quick"], ["--cases", "idle"], ["--peers", "nginx"]])
def test_a_part_of_a_run_is_not_kept_as_the_page(part, capsys):
    with pytest.raises(SystemExit):
        main([*part, "--render"])
    assert "--render keeps whole runs" in capsys.readouterr().err
