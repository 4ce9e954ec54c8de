import importlib.util

import pytest

from controlplane.demo.chart import available, timeline_png
from tests.unit.controlplane.demo.test_report import outcome, story

needs_matplotlib = pytest.mark.skipif(
    importlib.util.find_spec("matplotlib") is None,
    reason="needs matplotlib (pip install 'tidegate[demo]')",
)


def test_availability_is_what_can_be_imported():
    assert available() is (importlib.util.find_spec("matplotlib") is not None)


@needs_matplotlib
@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({}, id="a-good-run"),
        pytest.param({"outcomes": [], "rows": []}, id="nothing-happened"),
        pytest.param({"outcomes": [outcome("first", 0.0, None)]}, id="only-a-failure"),
    ],
)
def test_the_timeline_is_a_png_whatever_happened(fields):
    assert timeline_png(story(**fields)).startswith(b"\x89PNG\r\n\x1a\n")
