import json
from operator import itemgetter

from controlplane.cli.errors import CliError
from controlplane.cli.output import (
    or_dash,
    print_error,
    print_items,
    print_json,
    print_json_line,
    print_table,
    say,
    second,
    warn,
)


def test_a_table_in_a_pipe_is_tab_separated_and_never_wrapped(capsys):
    print_table(["A", "B"], [("x" * 500, None), ("[bold]", 3)])
    assert capsys.readouterr().out == f"A\tB\n{'x' * 500}\t\n[bold]\t3\n"


def test_json_is_indented_or_one_line(capsys):
    print_json({"a": [1]})
    print_json_line({"a": [1]})
    assert capsys.readouterr().out == '{\n  "a": [\n    1\n  ]\n}\n{"a":[1]}\n'


def test_errors_go_to_standard_error_with_what_to_do(capsys):
    print_error(CliError("no [such] thing", hint="Make one."))
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "error: no [such] thing\nMake one.\n"


def test_lines_are_printed_as_they_are(capsys):
    say("[red]x[/]")
    warn("y")
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("[red]x[/]\n", "y\n")


def test_items_are_a_table_for_people_and_whole_for_programs(capsys):
    items = [{"name": "one", "more": 1}, {"name": "two", "more": None}]
    columns = {"NAME": itemgetter("name"), "MORE": lambda item: or_dash(item["more"])}
    print_items(items, columns, as_json=False)
    assert capsys.readouterr().out == "NAME\tMORE\none\t1\ntwo\t-\n"
    print_items(items, columns, as_json=True)
    assert json.loads(capsys.readouterr().out) == items


def test_a_moment_is_shown_to_the_second():
    assert second("2033-05-18T12:00:01.123456Z") == "2033-05-18T12:00:01"
