"""What a rule answers: keep the document, or drop it for one reason."""

from __future__ import annotations

from typing import NamedTuple


class Verdict(NamedTuple):
    """The answer of one rule about one document.

    Args:
        keep: Whether the document stays.
        reason: Why it is dropped: one of a rule's few fixed names, so that it can be counted.
        detail: The figures behind the reason. Never any text of the document.
    """

    keep: bool
    reason: str = ""
    detail: str = ""


KEEP = Verdict(keep=True)


def drop(reason: str, detail: str = "") -> Verdict:
    """Drops a document for `reason`."""
    return Verdict(keep=False, reason=reason, detail=detail)
