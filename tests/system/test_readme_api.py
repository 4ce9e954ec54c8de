"""The commands of the API's page, run as they stand there."""

import re
import subprocess
from pathlib import Path

from tests.fakes.tools import require_tool
from tests.system.conftest import clean_environ

PAGE = Path(__file__).parents[2] / "controlplane" / "README.md"
BLOCK = re.compile(r"^```bash\n(.*?)^```", re.MULTILINE | re.DOTALL)


def test_every_command_of_the_page_works(tidegate_up):
    require_tool("curl", "apt-get install curl")
    blocks = BLOCK.findall(PAGE.read_text(encoding="utf-8"))
    assert len(blocks) >= 8
    up = tidegate_up()
    marked = "\n".join(f"echo; echo '== {n}'\n{block}" for n, block in enumerate(blocks))
    done = subprocess.run(
        ["bash", "-eu", "-o", "pipefail", "-c", marked],
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
        env=clean_environ(TIDEGATE_API_URL=up.api_url, TIDEGATE_TOKEN=up.token),
    )
    told = f"{done.stdout}\n{done.stderr}\n{up.tell()}"
    assert done.returncode == 0, told
    assert up.gateway_url in done.stdout, told
    for expected in ("suspended", "running", "stopped", "totalRequests", "Workload Started"):
        assert expected in done.stdout, told
