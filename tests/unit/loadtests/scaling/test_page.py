import json
from xml.sax import parseString
from xml.sax.handler import ContentHandler

from loadtests.scaling.__main__ import SEEDS
from loadtests.scaling.chart import chart
from loadtests.scaling.contenders import CONTENDERS
from loadtests.scaling.page import CHOSEN_ON, PAGE, RESULT, as_markdown, as_text
from loadtests.scaling.scenarios import SCENARIOS


def one(ratio, hours, delayed):
    return {
        "target_ratio": ratio,
        "replica_hours": hours,
        "delayed": delayed,
        "requests": 1000,
        "failed": 0,
        "cold": 0,
        "starts": 3,
        "flaps": 0,
        "wait_mean_s": 0.1,
        "wait_p95_s": None,
        "wait_p99_s": 1.5,
    }


def result(**more):
    delayed = {"tidegate": 200, "keda": 100}
    runs = {
        c.name: [one(0.7, 2.0, delayed.get(c.name, 250)), one(1.0, 1.0, 300)] for c in CONTENDERS
    }
    scenarios = {"bursty": {"1": runs}}
    return {"seeds": [1], "part": 1.0, "missing": ["azure-code"], "scenarios": scenarios, **more}


STEP = {
    "target": 4.0,
    "load": 20,
    "service_s": 0.5,
    "right": 5,
    "runs": 5,
    "phases": 12,
    "answers": [
        {
            "name": "Tidegate, running",
            "wanted": 6,
            "after_s": 0.5,
            "quickest_s": 0.4,
            "slowest_s": 0.75,
        },
        {
            "name": "HPA on load, model",
            "wanted": 4,
            "after_s": None,
            "quickest_s": None,
            "slowest_s": None,
        },
    ],
}


def test_the_page_says_where_ours_is_better_and_where_it_is_worse():
    page = as_markdown(result())
    assert "- Ours is better in 4, worse in 1 of 5 comparisons." in page
    assert "- worse: bursty (seed 1) against keda" in page


def test_the_page_names_what_was_left_out():
    assert "Left out, its trace was not at hand: azure-code." in as_markdown(result())


def test_the_page_has_the_commands_of_its_scenarios():
    command = next(s.command() for s in SCENARIOS if s.name == "bursty")
    assert f"`{command}`" in as_markdown(result())
    assert "--gaps gamma --variation 4" in command


def test_a_step_that_was_never_answered_says_never():
    page = as_markdown(result(step=STEP))
    assert "| Tidegate, running | 6 | 0.50 | 0.40 | 0.75 |" in page
    assert "| HPA on load, model | 4 | never | never | never |" in page
    assert "| at least the right count wanted after, s (median) |" in page
    assert "in 5 installations" in page


def test_the_page_is_the_one_that_its_result_renders():
    kept = json.loads(RESULT.read_text(encoding="utf-8"))
    assert PAGE.read_text(encoding="utf-8") == as_markdown(kept)


def test_the_page_says_which_seeds_were_held_out():
    page = as_markdown(result(seeds=[4, 5], scenarios={}))
    assert "chosen on seeds 1, 2, 3; this page shows" in page
    assert "before they stood: seeds 4, 5." in page
    assert not set(SEEDS) & set(CHOSEN_ON)


def test_the_text_has_the_table():
    assert "ours against" in as_text(result())


def test_the_picture_is_whole_and_has_a_line_per_contender():
    picture = chart(result())
    parseString(picture.encode(), ContentHandler())  # noqa: S317 - our own
    assert picture.count("<polyline") == len(CONTENDERS)
