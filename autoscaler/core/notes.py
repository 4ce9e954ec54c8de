"""The sentences of a decision, made only when somebody reads them.

A decision falls for every busy proton every second; one in sixty is kept. Formatting the numbers
of the other fifty-nine cost more than deciding, so what says "how" carries a template and its
numbers, and becomes a sentence in the record.
"""

Note = str | tuple[object, ...]
"""A sentence, or a %-template followed by its values: `("ceil(%.4g / %g) = %d", 31.2, 10, 4)`."""


def said(note: Note) -> str:
    """The sentence."""
    if isinstance(note, str):
        return note
    template, *values = note
    return str(template) % tuple(values)
