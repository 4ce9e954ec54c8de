"""Compiles the gateway's hot path while the package is built or installed, where that is possible.

`TIDEGATE_PURE=1 pip install ...` leaves it out.
"""

import os
import sys
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class NativeGateway(BuildHookInterface[Any]):
    """Adds `gateway/_native` to the wheel. Without a C compiler the wheel is pure Python."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called before a wheel (version `standard` or `editable`) is put together."""
        if self.target_name != "wheel" or os.environ.get("TIDEGATE_PURE"):
            return
        sys.path.insert(0, self.root)
        from gateway.build import BuildError, build  # noqa: PLC0415 - the path is set now

        try:
            build()
        except BuildError as exc:
            self.app.display_warning(f"the gateway stays interpreted (three times slower): {exc}")
            return
        if version == "standard":
            build_data["artifacts"].append("gateway/_native/**")
            build_data["pure_python"] = False
            build_data["infer_tag"] = True
