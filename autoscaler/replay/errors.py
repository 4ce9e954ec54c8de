"""Why a command cannot go on, in the terms of the person who ran it."""


class ReplayError(Exception):
    """A command cannot go on.

    Attributes:
        message: What is wrong, one sentence.
        hint: What to do about it; empty when the message says it all.
        code: Exit code: 1 failed, 2 wrong usage, 3 not found, as those of `tidegate`.
    """

    def __init__(self, message: str, *, hint: str = "", code: int = 1) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.code = code
