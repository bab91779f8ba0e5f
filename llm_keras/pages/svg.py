"""Small charts as SVG, in the colours and the font of the page: bars, and histograms with limits.

A chart is a picture for the eye and one sentence for everybody else. Colours are the names of
`llm_keras.pages.style`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from llm_keras.pages.markup import Html, tag

#: Of a histogram, in units of its view box: whole width, and where the bars begin and end.
WIDTH, LEFT, RIGHT = 340.0, 6.0, 334.0
TOP, BOTTOM, HEIGHT = 24.0, 116.0, 136.0
#: A character of a label; wide enough that labels never touch.
CHARACTER = 6.6


def meter(
    parts: Iterable[tuple[str, float]], said: str, *, mark: float | None = None, least: float = 0.0
) -> Html:
    """One bar that fills its place: parts of a whole, one after another.

    Args:
        parts: Colour and fraction of the whole, from the left.
        said: The same in words.
        mark: Where a line crosses the bar, as a fraction: what was asked for.
        least: A fraction that what is there at all is drawn with, so that it can be seen.
    """
    drawn, start = [], 0.0
    for colour, fraction in parts:
        if fraction > 0:
            width = max(fraction, least)
            drawn.append(_rectangle(100 * start, 0, 100 * width, 10, colour))
            start += width
    if mark is not None:
        drawn.append(_rectangle(min(100 * mark, 99.4), -2, 0.6, 14, "ink"))
    return tag(
        "svg",
        *drawn,
        viewBox="0 -2 100 14",
        preserveAspectRatio="none",
        role="img",
        aria_label=said,
        class_="meter",
    )


@dataclass(frozen=True)
class Bin:
    """One bar of a histogram.

    Args:
        start: Where it begins; it ends where the next one begins.
        count: How many values are in it.
    """

    start: float
    count: int


@dataclass(frozen=True)
class Limit:
    """A threshold of a rule.

    Args:
        value: What is on the wrong side of it is dropped.
        side: Whether it is the least that is kept, or the most.
    """

    value: float
    side: Literal["least", "most"]

    def drops(self, low: float, high: float) -> bool:
        """Whether it drops every value from `low` up to `high`."""
        return high <= self.value if self.side == "least" else low >= self.value

    @property
    def sign(self) -> str:
        """What is kept, as one writes it.

        >>> Limit(50, "least").sign, Limit(100_000, "most").sign
        ('≥ 50', '≤ 100k')
        """
        return f"{'≥' if self.side == 'least' else '≤'} {short(self.value)}"

    @property
    def beyond(self) -> str:
        """What is dropped, in words.

        >>> Limit(50, "least").beyond, Limit(100_000, "most").beyond
        ('below 50', 'above 100k')
        """
        return f"{'below' if self.side == 'least' else 'above'} {short(self.value)}"


def histogram(bins: Sequence[Bin], limits: Sequence[Limit], said: str) -> Html:
    """Bars of equal width, whatever each stands for, with the limits between which one keeps.

    Args:
        bins: In order; they are as wide as they are apart, the last one has no end.
        limits: Drawn as lines; bars that are wholly beyond one are drawn as dropped.
        said: The same in words.
    """
    tallest = max((each.count for each in bins), default=0) or 1
    wide = (RIGHT - LEFT) / max(len(bins), 1)
    drawn = []
    for place, each in enumerate(bins):
        end = bins[place + 1].start if place + 1 < len(bins) else float("inf")
        dropped = any(limit.drops(each.start, end) for limit in limits)
        tall = (BOTTOM - TOP) * each.count / tallest
        if each.count:
            tall = max(tall, 1.5)
        colour = "dropped-0" if dropped else "training"
        drawn.append(_rectangle(LEFT + place * wide + 0.8, BOTTOM - tall, wide - 1.6, tall, colour))
    return tag(
        "svg",
        *drawn,
        _rectangle(LEFT, BOTTOM, RIGHT - LEFT, 0.8, "rule"),
        *_starts(bins, wide),
        *_lines([each.start for each in bins], limits, wide),
        viewBox=f"0 0 {WIDTH:g} {HEIGHT:g}",
        role="img",
        aria_label=said,
        class_="chart",
    )


def place_of(starts: Sequence[float], value: float) -> float:
    """Where a value lies on an axis of bins of equal width, in bins from the left.

    >>> place_of([0, 10, 20, 50], 35), place_of([0, 10, 20, 50], 10), place_of([0, 10], 99)
    (2.5, 1.0, 1.5)
    """
    if not starts or value <= starts[0]:
        return 0.0
    for place in range(len(starts) - 1):
        low, high = starts[place], starts[place + 1]
        if value < high:
            return place + (value - low) / (high - low)
    return len(starts) - 1 + (0.5 if value > starts[-1] else 0.0)


def _starts(bins: Sequence[Bin], wide: float) -> Iterable[Html]:
    """Where the bins begin, as many as there is room for."""
    free = 0.0
    for place, each in enumerate(bins):
        label = short(each.start)
        half = len(label) * CHARACTER / 2
        middle = min(max(LEFT + place * wide, half), WIDTH - half)
        if middle - half >= free:
            yield _text(label, middle, BOTTOM + 14, "muted")
            free = middle + half + CHARACTER


def _lines(starts: Sequence[float], limits: Sequence[Limit], wide: float) -> Iterable[Html]:
    """The limits, each with its sign above, side by side where they are close."""
    free = 0.0
    for limit in sorted(limits, key=lambda each: each.value):
        across = LEFT + wide * place_of(starts, limit.value)
        yield _rectangle(across - 0.6, TOP - 6, 1.2, BOTTOM - TOP + 6, "weak")
        half = len(limit.sign) * CHARACTER / 2
        middle = min(max(across, half, free + half), WIDTH - half)
        yield _text(limit.sign, middle, TOP - 10, "weak")
        free = middle + half + CHARACTER


def short(value: float) -> str:
    """A number in as few characters as an axis has room for.

    >>> short(100_000), short(2_500), short(0.67), short(50), short(3.5)
    ('100k', '2.5k', '0.67', '50', '3.5')
    """
    if abs(value) >= 1_000_000:
        return f"{value / 1_000_000:.3g}M"
    return f"{value / 1000:.3g}k" if abs(value) >= 1000 else f"{value:.3g}"


def _rectangle(x: float, y: float, width: float, height: float, colour: str) -> Html:
    shape = {"x": x, "y": y, "width": width, "height": height}
    written = {name: f"{value:.2f}".rstrip("0").rstrip(".") for name, value in shape.items()}
    return tag("rect", **written, style=f"fill: var(--{colour})")


def _text(value: str, x: float, y: float, colour: str) -> Html:
    place = {"x": f"{x:.1f}", "y": f"{y:.1f}", "text_anchor": "middle"}
    return tag("text", value, **place, style=f"fill: var(--{colour})")
