"""A private folder: txt, md, html, docx, pdf, eml and mbox, each as what it is.

Nothing is run, nothing is looked up outside the file, and what is compressed is capped. Text that
a file only carries along is left out: attachments of mails, headers and footers of Word pages.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from llm_keras import config
from pipelines.documents import mail, mbox, pdf, word
from pipelines.documents.content import MAXIMUM_CHARACTERS, Content, UnfitError
from pipelines.sources import html, text_files
from pipelines.sources.record import MAXIMUM_RECORD_BYTES, Found, Passed, Text, Unreadable, usable

#: A scanned page, a mail of attachments only.
REASONS = (html.NO_TEXT,)

#: Largest file: pictures in it are large, and are not read.
MAXIMUM_FILE_BYTES = 256 * 2**20


def read(path: Path, source: config.Source) -> Iterator[Found]:
    """Reads one file: one document, or of an mbox one for each mail, named by its Message-ID."""
    name = path.name.lower()
    reader = next((read for suffix, read in _READERS.items() if name.endswith(suffix)), None)
    if reader is None:
        yield Unreadable(f"expected a name that ends in {', '.join(SUFFIXES)}")
    else:
        yield from reader(path, source)


def _html(path: Path, _: config.Source) -> Iterator[Found]:
    with path.open("rb") as file:
        yield html.text_of(file.read(MAXIMUM_RECORD_BYTES + 1), obey_opt_out=False)


def _whole(extract: Callable[[bytes], Content]) -> Callable[[Path, config.Source], Iterator[Found]]:
    """A reader of files that are one document, from what makes a text of their bytes."""

    def read_whole(path: Path, _: config.Source) -> Iterator[Found]:
        with path.open("rb") as file:
            data = file.read(MAXIMUM_FILE_BYTES + 1)
        if len(data) > MAXIMUM_FILE_BYTES:
            yield Unreadable(f"larger than {MAXIMUM_FILE_BYTES} bytes")
        else:
            yield _found(extract, data)

    return read_whole


def _mbox(path: Path, _: config.Source) -> Iterator[Found]:
    for each in mbox.mails(path):
        if each.data is None:
            yield Unreadable(each.error, offset=each.offset)
            continue
        found = _found(mail.text_of, each.data)._replace(name=mail.name_of(each.data))
        yield found._replace(offset=each.offset) if isinstance(found, Unreadable) else found


def _found(extract: Callable[[bytes], Content], data: bytes) -> Found:
    try:
        content = extract(data)
    except UnfitError as error:
        return Unreadable(str(error))
    if len(content.text) > MAXIMUM_CHARACTERS:
        return Unreadable(f"a text of more than {MAXIMUM_CHARACTERS} characters")
    if problem := usable(content.text):
        return Unreadable(problem)
    if not content.text.strip():
        return Passed(html.NO_TEXT)
    return Text(content.text, timestamp=content.written)


_READERS: dict[str, Callable[[Path, config.Source], Iterator[Found]]] = {
    **dict.fromkeys(text_files.SUFFIXES, text_files.read),
    **dict.fromkeys(html.SUFFIXES, _html),
    ".docx": _whole(word.text_of),
    ".pdf": _whole(pdf.text_of),
    ".eml": _whole(mail.text_of),
    ".mbox": _mbox,
}
SUFFIXES = tuple(_READERS)
