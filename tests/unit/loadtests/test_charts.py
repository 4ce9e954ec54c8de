from xml.etree import ElementTree

import pytest

from loadtests.charts import HEIGHT, WIDTH, Series, decades, line_chart, ticks


@pytest.mark.parametrize(
    ("top", "expected"),
    [
        (0, [0, 1]),
        (1, [0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        (7, [0, 2, 4, 6, 8]),
        (10, [0, 2, 4, 6, 8, 10]),
        (1234, [0, 250, 500, 750, 1000, 1250]),
    ],
)
def test_ticks_are_round_and_reach_the_top(top, expected):
    assert ticks(top) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(1, 10, [1, 10]), (3, 3, [1, 10]), (0.2, 450, [0.1, 1, 10, 100, 1000]), (10, 10, [10, 100])],
)
def test_decades_enclose_the_values(low, high, expected):
    assert decades(low, high) == pytest.approx(expected)


def lines(chart):
    svg = ElementTree.fromstring(chart).find("svg")  # noqa: S314 - our own
    return [line.get("points", "") for line in svg.findall("polyline")]


def test_a_gap_breaks_the_line():
    points = [(0, 1.0), (1, 2.0), (2, None), (3, 1.0), (4, 1.0)]
    assert len(lines(line_chart("t", [Series("a", points)], end_s=4))) == 2


def test_zero_is_a_gap_on_a_logarithmic_axis():
    points = [(0, 1.0), (1, 0.0), (2, 100.0)]
    assert len(lines(line_chart("t", [Series("a", points)], end_s=2, is_log=True))) == 2


def test_a_step_holds_its_value():
    (line,) = lines(line_chart("t", [Series("a", [(0, 1.0), (2, 3.0)], is_step=True)], end_s=2))
    (x0, y0), (x1, y1), (x2, y2) = (pair.split(",") for pair in line.split())
    assert y0 == y1 != y2
    assert x0 != x1 == x2


def test_every_point_is_inside_the_picture():
    points = [(at, float(at * at)) for at in range(50)]
    for line in lines(line_chart("t", [Series("a", points)], end_s=49)):
        for pair in line.split():
            x, y = map(float, pair.split(","))
            assert 0 <= x <= WIDTH
            assert 0 <= y <= HEIGHT


def test_a_chart_without_values_is_drawn_all_the_same():
    assert lines(line_chart("t", [Series("a", [])], end_s=0)) == []
    assert lines(line_chart("t", [Series("a", [(0, None)])], end_s=0, is_log=True)) == []


def test_names_are_escaped():
    chart = line_chart("<t>", [Series("<b>&", [])], end_s=1)
    assert "&lt;t&gt;" in chart
    assert "&lt;b&gt;&amp;" in chart
