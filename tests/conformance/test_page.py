"""The page is what the kept results say, and the results are those of today's cases."""

from tests.conformance import page
from tests.conformance.cases.catalogue import CASES
from tests.conformance.peers import PEERS
from tests.conformance.runner import OURS
from tests.conformance.script import Grade

AGAIN = "run: python -m tests.conformance --render"


def test_the_page_is_made_from_the_results() -> None:
    assert (page.ROOT / page.PAGE).read_text(encoding="utf-8") == page.render(page.load()), AGAIN


def test_the_results_are_those_of_the_cases() -> None:
    kept = {case_id: cell["digest"] for case_id, cell in page.load()["cases"].items()}
    assert kept == {case.id: page.digest(case) for case in CASES}, AGAIN


def test_every_proxy_was_asked_every_case() -> None:
    kept = page.load()
    names = [*(peer.name for peer in PEERS), OURS]
    assert list(kept["versions"]) == names
    assert all(list(cell["cells"]) == names for cell in kept["cases"].values())


def test_ours_passes_every_case_on_the_page() -> None:
    cells = {case_id: cell["cells"][OURS] for case_id, cell in page.load()["cases"].items()}
    assert {case_id: cell for case_id, cell in cells.items() if cell[0] != Grade.PASS} == {}


def test_no_peer_looks_worse_than_a_proxy_that_works() -> None:
    """Most failures of one peer would be a fault of its configuration here, not of its own."""
    kept = page.load()
    for name in kept["versions"]:
        failed = sum(cell["cells"][name][0] == Grade.FAIL for cell in kept["cases"].values())
        assert failed < len(CASES) / 8, name
