"""PDF to text, by pypdf: in pure Python, so that a malicious file cannot do more than fail.

Only text that the file holds as text is found; scanned pages have none.
"""

from __future__ import annotations

import io
import logging
import re
import warnings

import pypdf
from pypdf.errors import PyPdfError

from pipelines.documents.content import MAXIMUM_CHARACTERS, Content, UnfitError

MAXIMUM_PAGES = 20_000

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


def _pages(reader: pypdf.PdfReader) -> list[str]:
    if reader.is_encrypted:
        raise UnfitError("an encrypted PDF; save it without a password")
    if len(reader.pages) > MAXIMUM_PAGES:
        raise UnfitError(f"a PDF of more than {MAXIMUM_PAGES} pages")
    pages, total = [], 0
    for page in reader.pages:
        text = page.extract_text()
        total += len(text)
        if total > MAXIMUM_CHARACTERS:
            raise UnfitError(f"a text of more than {MAXIMUM_CHARACTERS} characters")
        pages.append(text)
    return pages
