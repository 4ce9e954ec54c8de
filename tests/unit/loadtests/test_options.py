import re
from pathlib import Path

from loadtests.options import own_parser

PAGE = Path(__file__).parents[3] / "loadtests" / "LOCUST.md"


def test_every_option_says_what_it_means_and_its_default():
    silent = []
    for action in own_parser()._actions:
        words = action.help or ""
        has_default = action.default is None or "efault" in words or action.default in (False, [])
        if not has_default and str(action.default) not in words:
            silent.append(action.option_strings)
    assert silent == []


def test_the_options_of_the_guide_exist():
    ours = {flag for action in own_parser()._actions for flag in action.option_strings}
    locusts = {"--headless", "--host", "--users", "--run-time", "--spawn-rate", "--stop-timeout"}
    locusts |= {"--csv"}
    used = set(re.findall(r"--[a-z][a-z-]+", PAGE.read_text()))
    assert used - ours - locusts == set()
