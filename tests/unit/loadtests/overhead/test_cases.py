import pytest

from loadtests.overhead.cases import BY_NAME, CASES, fitted


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_where_files_are_plenty_cases_are_as_they_say(case):
    assert fitted(case, files=65_536) == case


def test_where_files_are_few_fewer_connections_idle_and_the_title_says_so():
    case = fitted(BY_NAME["idle"], files=20_000)
    assert case.load.connections == 9_900
    assert case.title.endswith("10,000 of them (here 9,900: `ulimit -n` is 20,000)")
