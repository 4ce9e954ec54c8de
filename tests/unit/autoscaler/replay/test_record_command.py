"""`tidegate record` up to where it would begin; the rest needs a store (tests/integration)."""

import pytest
from typer.testing import CliRunner

from autoscaler.replay.__main__ import app


@pytest.fixture(autouse=True)
def nothing_named(monkeypatch):
    monkeypatch.delenv("TIDEGATE_STORE_URL", raising=False)
    monkeypatch.delenv("TIDEGATE_CONFIG", raising=False)


def record(*words):
    return CliRunner().invoke(app, ["record", *(str(word) for word in words)])


def test_a_store_that_cannot_be_read_leaves_no_file(tmp_path):
    out = tmp_path / "out.jsonl"
    for _ in range(2):
        said = record(out, "--store", "http://127.0.0.1").exception.message
        assert said.startswith("the store cannot be read")
    assert not out.exists()


def test_a_file_that_is_there_is_refused_before_the_store_is_asked(tmp_path):
    out = tmp_path / "out.jsonl"
    out.write_text("mine")
    assert "is there already" in record(out, "--store", "http://127.0.0.1").exception.message
    assert out.read_text() == "mine"


def test_without_a_store_it_names_where_it_looked_and_every_way_to_name_one(tmp_path, monkeypatch):
    monkeypatch.setenv("TIDEGATE_UP_DATA_DIR", str(tmp_path / "other"))
    error = record(tmp_path / "out").exception
    assert f"runs on {tmp_path / 'other'}" in error.message
    for way in ("--data-dir", "TIDEGATE_UP_DATA_DIR", "--store", "TIDEGATE_STORE_URL"):
        assert way in error.hint
    named = record(tmp_path / "out", "--data-dir", tmp_path / "here").exception
    assert f"runs on {tmp_path / 'here'}" in named.message
