import xml.etree.ElementTree as ET

from loadtests.overhead.chart import BAR_WIDTH, OTHERS, OURS, chart
from tests.unit.loadtests.overhead.results import bench_result, case_of, result_of

SVG = "{http://www.w3.org/2000/svg}"


def _picture():
    cases = [
        case_of("json-64", result_of("tidegate", 30), result_of("nginx & co", 60)),
        case_of("events", result_of("tidegate", 12), result_of("nginx & co", 10)),
    ]
    return ET.fromstring(chart(bench_result(*cases)))  # noqa: S314 - our own text


def _bars(picture, colour):
    groups = picture.iter(f"{SVG}g")
    bars = [bar for group in groups for bar in group.iter(f"{SVG}rect")]
    return [float(bar.get("width")) for bar in bars if bar.get("fill") == colour]


def test_bars_are_as_long_as_cpu_time_within_their_panel_and_user_time_is_the_dark_part():
    picture = _picture()
    assert _bars(picture, OURS[1]) == [BAR_WIDTH / 2, BAR_WIDTH]
    assert _bars(picture, OURS[0]) == [BAR_WIDTH / 8, BAR_WIDTH / 4]
    assert _bars(picture, OTHERS[1]) == [BAR_WIDTH, BAR_WIDTH / 12 * 10]


def test_every_panel_and_proxy_is_named():
    words = [text.text for text in _picture().iter(f"{SVG}text")]
    assert {"small JSON, 64 connections", "us of CPU per event", "nginx & co"} <= set(words)


def test_where_memory_is_the_question_it_is_what_bars_show():
    results = [result_of("tidegate", 30, growth_bytes=2048), result_of("x", 1, growth_bytes=4096)]
    picture = ET.fromstring(chart(bench_result(case_of("idle", *results))))  # noqa: S314
    assert _bars(picture, OURS[1]) == [BAR_WIDTH / 2]
    assert _bars(picture, OURS[0]) == [0]
    assert "bytes of memory per connection" in [t.text for t in picture.iter(f"{SVG}text")]
