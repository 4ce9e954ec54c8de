"""The commands of the API's pages, run as they stand there."""

import re
import subprocess
from pathlib import Path

import pytest

from tests.fakes.tools import require_tool
from tests.system.conftest import clean_environ, installation

HOME = Path(__file__).parents[2] / "controlplane"
PAGE = HOME / "README.md"
BLOCK = re.compile(r"^```bash\n(.*?)^```", re.MULTILINE | re.DOTALL)
FLOWS = (HOME / "FLOWS.md").read_text(encoding="utf-8")
COMMON, *SECTIONS = re.split(r"^## ", FLOWS, flags=re.MULTILINE)
TITLES = [section.partition("\n")[0] for section in SECTIONS]


def run(up, blocks, *, directory, timeout_s):
    require_tool("curl", "apt-get install curl")
    marked = "\n".join(f"echo; echo '== {n}'\n{block}" for n, block in enumerate(blocks))
    done = subprocess.run(
        ["bash", "-eu", "-o", "pipefail", "-c", marked],
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
        cwd=directory,
        env=clean_environ(TIDEGATE_API_URL=up.api_url, TIDEGATE_TOKEN=up.token),
    )
    told = f"{done.stdout}\n{done.stderr}\n{up.tell()}"
    assert done.returncode == 0, told
    return done.stdout, told


@pytest.fixture(scope="module")
def up(tmp_path_factory):
    with installation(tmp_path_factory.mktemp("up"), settings=["autoscaler.tick_s=0.2"]) as started:
        yield started


@pytest.mark.timeout(240)
def test_every_command_of_the_page_works(up, tmp_path):
    blocks = BLOCK.findall(PAGE.read_text(encoding="utf-8"))
    assert len(blocks) >= 8
    said, told = run(up, blocks, directory=tmp_path, timeout_s=200)
    assert up.gateway_url in said, told
    for expected in ("suspended", "running", "stopped", "totalRequests", "Workload Started"):
        assert expected in said, told


@pytest.mark.timeout(180)
@pytest.mark.parametrize("title", TITLES)
def test_every_flow_works_by_itself(up, tmp_path, title):
    section = SECTIONS[TITLES.index(title)]
    blocks = [*BLOCK.findall(COMMON), *BLOCK.findall(section)]
    assert len(blocks) >= 2
    run(up, blocks, directory=tmp_path, timeout_s=150)
