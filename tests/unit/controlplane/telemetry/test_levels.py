import pytest

from controlplane.telemetry import levels


@pytest.mark.parametrize(
    ("line", "level"),
    [
        ("INFO:     Uvicorn running on http://127.0.0.1", "info"),
        ("ERROR:root:it failed", "error"),
        ("[WARN] disk is full", "warning"),
        ("WARNING: slow", "warning"),
        ("2026-11-22 03:58:13,182 ERROR app: it failed", "error"),
        ("2026-11-22T03:58:13Z [DEBUG] details", "debug"),
        ("2026-11-22 03:58:13,182 - app.main - CRITICAL - gone", "critical"),
        ("[2026-11-22 03:58:13 +0000] [12] [INFO] Booting worker", "info"),
        ("FATAL no config", "critical"),
        ("there was an ERROR somewhere in this sentence", "info"),
        ("ERRORS: 0", "info"),
        ("error: in small letters is prose", "info"),
        ("Traceback (most recent call last):", "info"),
        ("", "info"),
    ],
)
def test_a_line_of_text_says_its_level_at_its_front(line, level):
    assert levels.word(levels.guess(line)) == level


@pytest.mark.parametrize(
    ("said", "level"),
    [
        ("ERROR", "error"),
        (" warn ", "warning"),
        ("fatal", "critical"),
        ("Notice", "info"),
        ("trace", "debug"),
        (30, "warning"),
        (50, "critical"),
        (10, "debug"),
        (7, "debug"),
        (1e9, "critical"),
        (-5, "debug"),
    ],
)
def test_levels_have_many_names(said, level):
    severity = levels.severity_of(said)
    assert severity is not None
    assert levels.word(severity) == level


@pytest.mark.parametrize("said", ["loud", "", None, True, ["error"]])
def test_what_is_no_level_is_none(said):
    assert levels.severity_of(said) is None


def test_the_levels_share_all_numbers_without_overlap():
    words = ("debug", "info", "warning", "error", "critical")
    ranges = [levels.bounds_of(word) for word in words]
    numbers = [number for first, last in ranges for number in range(first, last + 1)]
    assert numbers == list(range(1, 25))
    for word, (first, last) in zip(words, ranges, strict=True):
        assert {levels.word(number) for number in range(first, last + 1)} == {word}
    first, last = levels.bounds_of("loud")
    assert first > last
