"""HTML that escapes by construction: whatever is not `Html` is text."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence

#: Elements without content and end tag.
VOID = {"meta", "br"}

#: Control characters have no place in a page; tab and line feed do.
_CONTROLS = {code: "\ufffd" for code in [*range(32), *range(127, 160)] if code not in (9, 10)}


class Html(str):
    """Markup that may stand in a page as it is. Only `tag`, `join` and the charts make it."""

    __slots__ = ()


def text(value: str) -> Html:
    """`value` as it should be read, markup characters escaped; already `Html` stays.

    >>> text('<script>alert("x")</script>')
    '&lt;script&gt;alert(&quot;x&quot;)&lt;/script&gt;'
    """
    if isinstance(value, Html):
        return value
    whole = value.encode("utf-8", "replace").decode("utf-8")  # a lone surrogate cannot be written
    return Html(html.escape(whole.translate(_CONTROLS)))


def join(parts: Iterable[str], separator: str = "") -> Html:
    """The parts one after another, each escaped unless it is `Html`."""
    return Html(text(separator).join(text(part) for part in parts))


def tag(name: str, /, *children: str, **attributes: str) -> Html:
    """One element; `class_` and `aria_label` stand for `class` and `aria-label`.

    >>> tag("p", "1 < 2 ", tag("b", "true"), class_="note")
    '<p class="note">1 &lt; 2 <b>true</b></p>'
    """
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{text(str(value))}"'
        for key, value in attributes.items()
    )
    if name in VOID:
        return Html(f"<{name}{written}>")
    return Html(f"<{name}{written}>{join(children)}</{name}>")


def table(head: Sequence[str], rows: Iterable[Sequence[str]], *, mark: str = "") -> Html:
    """A table whose first column holds names and whose others hold figures.

    Args:
        head: Titles of the columns; none makes a list of facts, aligned as text.
        rows: As many cells each.
        mark: The row of this name stands out.
    """
    body = [
        tag(
            "tr",
            tag("th", name, scope="row"),
            *(tag("td", cell) for cell in cells),
            **({"class_": "mark"} if mark and name == mark else {}),
        )
        for name, *cells in rows
    ]
    titles = tag("thead", tag("tr", *(tag("th", title, scope="col") for title in head)))
    parts = [titles, tag("tbody", *body)] if head else [tag("tbody", *body)]
    whole = tag("table", *parts, class_="figures" if head else "facts")
    return tag("div", whole, class_="scroll")


def long_table(
    head: Sequence[str], rows: Sequence[Sequence[str]], what: str, *, shown: int = 20
) -> Html:
    """A table of which the first rows are open, and the others behind a line that says how many."""
    first = table(head, rows[:shown])
    if len(rows) <= shown:
        return first
    return join([first, details(f"{len(rows) - shown} more {what}", table(head, rows[shown:]))])


def details(summary: str, *children: str) -> Html:
    """What opens when one asks for it."""
    return tag("details", tag("summary", summary), *children)


def section(title: str, *children: str) -> Html:
    """A part of the page under its heading."""
    return tag("section", tag("h2", title), *children)


def missing(what: str, command: str) -> Html:
    """Says that a part is not there yet, and which command makes it."""
    return tag("p", f"{what} ", tag("code", command), " makes it.", class_="missing")


def excerpt(value: str, characters: int) -> str:
    """The beginning of `value`, cut at a word where one ends in reach.

    >>> excerpt("Fellow citizens of the Senate", 18)
    'Fellow citizens …'
    """
    value = value.strip()
    if len(value) <= characters:
        return value
    head = value[:characters]
    at_word = head.rsplit(maxsplit=1)[0]
    return (at_word if len(at_word) > characters // 2 else head) + " …"


def number(value: float) -> str:
    """A count in groups of three digits, or a figure with three to four significant ones.

    >>> number(1234567), number(21.4534), number(0.00012), number(3.0702)
    ('1,234,567', '21.5', '0.00012', '3.070')
    """
    if isinstance(value, int) or (float(value).is_integer() and abs(value) >= 1000):
        return f"{int(value):,}"
    size = abs(value)
    if size >= 1000:
        return f"{value:,.0f}"
    if size >= 100:
        return f"{value:.0f}"
    if size >= 10:
        return f"{value:.1f}"
    return f"{value:.3f}" if size >= 0.01 else f"{value:.2g}"


def size(value: float) -> str:
    """Bytes in the unit that a person would say.

    >>> size(999), size(1_374_120)
    ('999 bytes', '1.4 MB')
    """
    if value < 1000:
        return f"{value:.0f} bytes"
    for unit in ("kB", "MB", "GB"):
        value /= 1000
        if value < 1000:
            return f"{value:.1f} {unit}"
    return f"{value / 1000:.1f} TB"
