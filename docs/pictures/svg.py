"""Boxes, arrows and words as SVG: small files, text as text, the same bytes every time."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

Point = tuple[float, float]

BLUE, GREEN, YELLOW, RED, GREY = "#d8e6f5", "#dcefd8", "#fdf0c4", "#f8dad3", "#ececec"
INK, FAINT = "#222222", "#666666"
#: Height of a line of text, and how far below a line's middle its letters stand.
LINE, DROP = 18, 5


class Picture:
    """A white sheet to draw on, in pixels from its top left corner."""

    def __init__(self, width: int, height: int, title: str) -> None:
        self._parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}"'
            f' width="{width}" height="{height}" font-family="Helvetica, Arial, sans-serif"'
            f' font-size="14" fill="{INK}">',
            f"<title>{escape(title)}</title>",
            '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8"'
            ' markerHeight="8" orient="auto" markerUnits="userSpaceOnUse">'
            f'<path d="M0 0L8 4L0 8z" fill="{INK}"/></marker></defs>',
            f'<rect width="{width}" height="{height}" fill="white"/>',
        ]

    def box(
        self,
        x: float,
        y: float,
        width: float,
        height: float,
        lines: Sequence[str] = (),
        fill: str = BLUE,
        line: str = INK,
    ) -> None:
        """A rectangle with lines of text in its middle; the first is the bold one."""
        self._parts.append(
            f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="5"'
            f' fill="{fill}" stroke="{line}"/>'
        )
        top = y + height / 2 - (len(lines) - 1) * LINE / 2
        for index, words in enumerate(lines):
            self.text(x + width / 2, top + index * LINE, words, bold=index == 0)

    def frame(self, x: float, y: float, width: float, height: float) -> None:
        """A dashed rectangle around what belongs together."""
        self._parts.append(
            f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="8"'
            f' fill="none" stroke="{FAINT}" stroke-dasharray="5 4"/>'
        )

    def text(
        self,
        x: float,
        y: float,
        words: str,
        *,
        bold: bool = False,
        code: bool = False,
        faint: bool = False,
        anchor: str = "middle",
    ) -> None:
        """One line whose middle is at height y; `code` is in fixed width and a little smaller."""
        style = ' font-weight="bold"' if bold else ""
        style += ' font-family="monospace" font-size="12"' if code else ""
        style += f' fill="{FAINT}"' if faint else ""
        self._parts.append(
            f'<text x="{x:g}" y="{y + DROP:g}" text-anchor="{anchor}"{style}>{escape(words)}</text>'
        )

    def number(self, x: float, y: float, value: int) -> None:
        """The number of a step, in a black disc."""
        self._parts.append(f'<circle cx="{x:g}" cy="{y:g}" r="12" fill="{INK}"/>')
        self._parts.append(
            f'<text x="{x:g}" y="{y + DROP:g}" text-anchor="middle" font-weight="bold"'
            f' fill="white">{value}</text>'
        )

    def arrow(self, *points: Point, tip: bool = True, dashed: bool = False) -> None:
        """A line through the points, with a tip at the last."""
        path = "L".join(f"{x:g} {y:g}" for x, y in points)
        style = ' stroke-dasharray="5 4"' if dashed else ""
        style += ' marker-end="url(#tip)"' if tip else ""
        self._parts.append(
            f'<path d="M{path}" fill="none" stroke="{INK}" stroke-width="1.4"{style}/>'
        )

    def write(self, path: Path) -> None:
        """Writes the file."""
        path.write_text("\n".join([*self._parts, "</svg>"]) + "\n")
