from pathlib import Path

import pytest

from controlplane.cli import demo as command
from controlplane.cli.demo import line, report_text
from controlplane.cli.errors import CliError
from tests.unit.controlplane.demo.test_report import row, story


def test_a_sample_is_one_line_with_everything_one_watches():
    text = line(row(3.0, "burst", rate_per_s=12.34, queued=7, ready=2, wanted=5, p50_ms=1.5))
    for part in ("burst", "12.3/s", "queued   7", "replicas 2/5", "1.5 ms", "idle"):
        assert part in text


def test_the_last_lines_tell_the_whole_story(tmp_path):
    text = report_text(story(), out=Path("demo-out"))
    for part in ("3 sent, 0 failed", "3 started, 3 finished", "1.25 s", "0 -> 4 -> 0",
                 "p50 200.0 ms", "demo-out/timeline.html"):  # fmt: skip
        assert part in text


def test_without_matplotlib_nothing_starts_and_the_remedy_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr(command.chart, "available", lambda: False)
    with pytest.raises(CliError) as caught:
        command.demo(out=tmp_path / "out")
    assert "pip install 'tidegate[demo]'" in caught.value.hint
    assert not (tmp_path / "out").exists()


def test_an_output_directory_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(CliError, match="cannot write to"):
        command.demo(out=tmp_path / "file" / "out")
