"""Compiles the hot paths while the package is built or installed, where that is possible.

`TIDEGATE_PURE=1 pip install ...` leaves it out.
"""

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class Native(BuildHookInterface[Any]):
    """Adds `gateway/_native` and `autoscaler/_native` to the wheel.

    Without a C compiler the wheel is pure Python.
    """

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called before a wheel (version `standard` or `editable`) is put together."""
        if self.target_name != "wheel" or os.environ.get("TIDEGATE_PURE"):
            return
        sys.path.insert(0, self.root)
        import autoscaler.native  # noqa: PLC0415 - the path is set now
        import gateway.native  # noqa: PLC0415
        from controlplane.native_build import BuildError, build  # noqa: PLC0415

        with ThreadPoolExecutor() as pool:  # each of them waits for a compiler of its own
            builds = [
                (native, pool.submit(build, native.GROUP, native.PACKAGE))
                for native in (gateway.native, autoscaler.native)
            ]
        for native, built in builds:
            try:
                built.result()
            except BuildError as exc:
                name = native.GROUP.package
                self.app.display_warning(f"the {name} stays interpreted (much slower): {exc}")
                continue
            if version == "standard":
                build_data["artifacts"].append(f"{native.GROUP.package}/_native/**")
                build_data["pure_python"] = False
                build_data["infer_tag"] = True
