import json

import pytest

from loadtests.scaling.__main__ import main


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--render", "--quick"], "--render keeps whole runs"),
        (["--render", "--scenarios", "bursty"], "--render keeps whole runs"),
        (["--step-only", "--quick"], "--step-only runs no comparison"),
        (["--step-only", "--scenarios", "bursty"], "--step-only runs no comparison"),
        (["--step-only", "--seeds", "4"], "--step-only runs no comparison"),
        (["--step-only", "--json", "x"], "--step-only runs no comparison"),
        (["--step-only", "--jobs", "1"], "--step-only runs no comparison"),
        (["--step-only", "--no-step"], "--step-only runs no comparison"),
        (["--scenarios", "moon"], "'moon' is none of"),
    ],
)
def test_what_does_not_fit_is_refused(words, said, capsys):
    with pytest.raises(SystemExit):
        main(words)
    assert said in capsys.readouterr().err


@pytest.mark.slow
def test_a_quick_comparison_prints_its_verdicts_and_writes_json(tmp_path, capsys):
    path = tmp_path / "scaling.json"
    assert main(["--quick", "--scenarios", "bursty", "--jobs", "1", "--json", str(path)]) == 0
    assert "ours against" in capsys.readouterr().out
    assert list(json.loads(path.read_text(encoding="utf-8"))["scenarios"]) == ["bursty"]
