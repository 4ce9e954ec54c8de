"""Documentation that cannot drift: made pages, links, commands, variables."""

import re
from pathlib import Path

import pytest

from controlplane.model.sections import Settings
from controlplane.model.settings import NOT_SETTINGS, RESERVED_PREFIXES, env_name
from tests.architecture.tree import ROOT, files, read
from tests.docs.render import (
    COMMANDS_PAGE,
    SETTINGS_PAGE,
    commands,
    commands_page,
    described,
    settings_page,
)

PAGES = [path for path in files() if path.suffix == ".md"]
LINK = re.compile(r"\[[^\]]*\]\((?P<target>[^)\s]+)\)")
FENCE = re.compile(r"^```[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
VARIABLE = re.compile(r"\bTIDEGATE_[A-Z0-9_]+\b")
COMMAND = re.compile(r"^(?:\$ )?(?:\S*/)?tidegate((?: [^\n]*)?)$", re.MULTILINE)
MAKE = re.compile(r"(?:^\s*\$? ?|`)make ([a-z]+)\b", re.MULTILINE)
HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)


def test_settings_page_is_what_the_code_says():
    assert read(SETTINGS_PAGE) == settings_page(), "run: python -m tests.docs.render"


def test_commands_page_is_what_the_program_says():
    assert read(COMMANDS_PAGE) == commands_page(), "run: python -m tests.docs.render"


@pytest.mark.parametrize("page", [p for p in PAGES if p != COMMANDS_PAGE], ids=str)
def test_tidegate_commands_exist_with_their_options(page):
    """Every line of an example that begins with `tidegate`."""
    known = commands()
    unknown = []
    for fence in FENCE.findall(read(page)):
        for line in COMMAND.findall(fence.replace("\\\n", " ")):
            words = line.split()
            depth = max(n for n in range(len(words) + 1) if tuple(words[:n]) in known)
            command, rest = tuple(words[:depth]), words[depth:]
            is_group = any(len(k) > depth and k[:depth] == command for k in known)
            options = {word.partition("=")[0] for word in rest if word.startswith("--")}
            if options - known[command] or (is_group and rest and not options):
                unknown.append(line)
    assert unknown == []


@pytest.mark.parametrize("section", [name for name, _, _ in described()])
def test_every_setting_says_what_it_means(section):
    found = {name: rows for name, _, rows in described()}
    assert [key for key, _, meaning in found[section] if not meaning.endswith((".", ":"))] == []


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_links_lead_somewhere(page):
    broken = []
    for match in LINK.finditer(FENCE.sub("", read(page))):
        target, _, anchor = match["target"].partition("#")
        if target.startswith(("http://", "https://", "mailto:")):
            continue
        path = (ROOT / page.parent / target).resolve() if target else ROOT / page
        if not path.exists() or (anchor and anchor not in _anchors(path)):
            broken.append(match["target"])
    assert broken == []


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_make_commands_exist(page):
    targets = set(re.findall(r"^([a-z]+):", read(Path("Makefile")), re.MULTILINE))
    assert set(MAKE.findall(read(page))) - targets == set()


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_variables_exist(page):
    known = NOT_SETTINGS | {
        env_name(section, key) for section, _, rows in described() for key, _, _ in rows
    }
    found = {v for v in VARIABLE.findall(read(page)) if not v.startswith(RESERVED_PREFIXES)}
    prefixes = {v for v in found if v.endswith("_")}  # as in `TIDEGATE_GATEWAY_*`
    assert found - known - prefixes == set()


def test_every_section_is_on_the_settings_page():
    assert [name for name, _, _ in described()] == list(Settings.__dataclass_fields__)


def test_changelog_has_a_place_for_what_comes():
    text = read(Path("CHANGELOG.md"))
    assert "\n## [Unreleased]\n" in text
    kinds = set(re.findall(r"^### (.*)$", text, re.MULTILINE))
    assert kinds <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def test_version_is_one():
    from controlplane import __version__  # noqa: PLC0415 - the test is about this value

    assert f'\nversion = "{__version__}"\n' in read(Path("pyproject.toml"))


def _anchors(path: Path) -> set[str]:
    """Anchors of a page's headings, as GitHub makes them."""
    headings = HEADING.findall(path.read_text(encoding="utf-8"))
    return {re.sub(r"[^\w\- ]", "", h.lower()).strip().replace(" ", "-") for h in headings}
