"""Why a command failed, in the terms a person at a terminal needs: what is wrong, what to do.

    code  name       when
    ----  ---------  -----------------------------------------------------------
    0     OK         done
    1     FAILED     refused, unreachable, or ended badly
    2     USAGE      the command line or a setting is wrong
    3     NOT_FOUND  no such workload, artifact, token, ...
    4     TIMEOUT    it did not happen within --timeout

130 is Ctrl-C, as in every shell. Codes are stable: scripts may rely on them.
"""

from enum import IntEnum


class ExitCode(IntEnum):
    """Exit codes of the command; the module docstring is the table."""

    OK = 0
    FAILED = 1
    USAGE = 2
    NOT_FOUND = 3
    TIMEOUT = 4


class CliError(Exception):
    """A command cannot go on.

    Attributes:
        message: What is wrong, one sentence.
        hint: What to do about it; empty when the message says it all.
        code: Exit code of the process.
    """

    def __init__(self, message: str, *, hint: str = "", code: ExitCode = ExitCode.FAILED) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.code = code
