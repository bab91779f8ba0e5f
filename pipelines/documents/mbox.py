"""Mailboxes (mbox): mails one after another, each after a line that begins with `From `.

References:
    RFC 4155, appendix A; the variant "mboxrd", in which `>` stands before each `From ` within.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

MAXIMUM_MAIL_BYTES = 64 * 2**20
LINE_BYTES = 2**16

_SEPARATOR = b"From "
_QUOTED = re.compile(rb"^>(>*From )", re.MULTILINE)


class Mail(NamedTuple):
    """One mail of a mailbox.

    Args:
        data: Its bytes; None if they are too many, or if there is no mail.
        offset: Where it begins in the file.
        error: Why there is no mail.
    """

    data: bytes | None
    offset: int
    error: str = ""


def mails(path: Path) -> Iterator[Mail]:
    """Streams the mails of a mailbox, holding one."""
    held: list[bytes] = []
    held_bytes, start, offset = 0, 0, 0
    blank_before, at_line_start = True, True
    with path.open("rb") as file:
        while line := file.readline(LINE_BYTES):
            begins = at_line_start and blank_before and line.startswith(_SEPARATOR)
            if not offset and not begins:
                yield Mail(None, 0, "not a mailbox: does not begin with a line From ...")
                return
            if begins and offset:
                yield _mail(held, held_bytes, start)
            if begins:
                held, held_bytes, start = [], 0, offset
            else:
                held_bytes += len(line)
                if held_bytes <= MAXIMUM_MAIL_BYTES:
                    held.append(line)
            offset += len(line)
            blank_before = at_line_start and line in (b"\n", b"\r\n")
            at_line_start = line.endswith(b"\n")
    if offset:
        yield _mail(held, held_bytes, start)


def _mail(lines: list[bytes], size: int, offset: int) -> Mail:
    if size > MAXIMUM_MAIL_BYTES:
        return Mail(None, offset, f"a mail of more than {MAXIMUM_MAIL_BYTES} bytes")
    return Mail(_QUOTED.sub(rb"\1", b"".join(lines)), offset)
