import io

import pytest

from controlplane.cli.credential import _read, _value
from controlplane.cli.errors import CliError, ExitCode


def test_values_are_read_from_the_line_a_file_or_standard_input(tmp_path, monkeypatch):
    path = tmp_path / "key.json"
    path.write_text('{"a": 1}\n')
    monkeypatch.setattr("sys.stdin", io.StringIO("from a pipe\n"))
    assert _read(["user=alice", "a=b=c", f"gcpKey=@{path}", "password=@-", "empty="]) == {
        "user": "alice",
        "a": "b=c",
        "gcpKey": '{"a": 1}',
        "password": "from a pipe",
        "empty": "",
    }


def test_a_key_without_a_value_is_asked_for_without_an_echo():
    asked = []

    def ask(name, *, hide_input):
        asked.append((name, hide_input))
        return "secret"

    assert _value("password", ask=ask) == ("password", "secret")
    assert asked == [("password", True)]


@pytest.mark.parametrize("text", ["=x", "", "password=@/nowhere/at/all"])
def test_what_cannot_be_read_is_wrong_usage(text):
    with pytest.raises(CliError) as raised:
        _value(text, ask=lambda name, hide_input: "")
    assert raised.value.code is ExitCode.USAGE
