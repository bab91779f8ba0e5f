"""PDF to text, by pypdf: in pure Python, so that a malicious file cannot do more than fail.

Only text that the file holds as text is found; scanned pages have none.
"""

from __future__ import annotations

import io
import logging
import re
import warnings
from typing import Any

import pypdf
from pypdf.errors import PyPdfError

from pipelines.documents.content import MAXIMUM_CHARACTERS, Content, UnfitError

MAXIMUM_PAGES = 20_000
#: Operations that draw a whole file, and bytes that they are written in: a book has a thousand on a
#: page, and what takes more takes minutes.
MAXIMUM_OPERATIONS, MAXIMUM_DRAWN_BYTES = 2_000_000, 32 * 2**20

#: A word that a line ends within. A capital or a figure after it is no second half.
_BROKEN_WORD = re.compile(r"(?<=[^\W\d_])-\n(?=[a-z\u00df-\u00ff])")
_MAGIC = b"%PDF-"
#: What pypdf raises on damaged files, beside errors of its own.
_FAULTS = (
    PyPdfError,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    AttributeError,
    AssertionError,
    NotImplementedError,
    RecursionError,
    OverflowError,
    ZeroDivisionError,
)


def text_of(data: bytes) -> Content:
    """Reads a PDF, a line feed between pages, words put together that a line ends within.

    Raises:
        UnfitError: It is none, is encrypted or damaged, or holds too much.
    """
    if _MAGIC not in data[:1024]:
        raise UnfitError("not a PDF: does not begin with %PDF-")
    logging.getLogger("pypdf").setLevel(logging.CRITICAL)  # its warnings quote the file
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            text = "\n".join(_pages(pypdf.PdfReader(io.BytesIO(data))))
    except UnfitError:
        raise
    except _FAULTS:
        raise UnfitError("a PDF that is damaged") from None
    return Content(_BROKEN_WORD.sub("", text).strip())


class _Budget:
    """Counts what is drawn, forms within forms too, and ends it when it is too much."""

    def __init__(self) -> None:
        self.operations = self.drawn_bytes = 0

    def add_operation(self, *_: Any) -> None:
        """Counts one operation.

        Raises:
            UnfitError: It is one too many.
        """
        self.operations += 1
        if self.operations > MAXIMUM_OPERATIONS:
            raise UnfitError(f"a PDF drawn by more than {MAXIMUM_OPERATIONS} operations")

    def add_page(self, page: pypdf.PageObject) -> None:
        """Counts the bytes that draw a page, before they are taken apart.

        Raises:
            UnfitError: They are too many.
        """
        contents = page.get_contents()
        self.drawn_bytes += len(contents.get_data()) if contents is not None else 0
        if self.drawn_bytes > MAXIMUM_DRAWN_BYTES:
            raise UnfitError(f"a PDF drawn by more than {MAXIMUM_DRAWN_BYTES} bytes")


def _pages(reader: pypdf.PdfReader) -> list[str]:
    if reader.is_encrypted:
        raise UnfitError("an encrypted PDF; save it without a password")
    if len(reader.pages) > MAXIMUM_PAGES:
        raise UnfitError(f"a PDF of more than {MAXIMUM_PAGES} pages")
    pages, total, budget = [], 0, _Budget()
    for page in reader.pages:
        budget.add_page(page)
        text = page.extract_text(visitor_operand_before=budget.add_operation)
        total += len(text)
        if total > MAXIMUM_CHARACTERS:
            raise UnfitError(f"a text of more than {MAXIMUM_CHARACTERS} characters")
        pages.append(text)
    return pages
