"""Line charts as SVG that takes its colours and font from the page."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from llm_keras.evaluation.report.facts import Series
from llm_keras.pages.markup import Html, number, tag

Floats = npt.NDArray[np.float64]

#: Drawn in these colours, then replaced by the page's, so that a chart follows light and dark.
COLOURS = {
    "ink": "#010203",
    "muted": "#010204",
    "rule": "#010205",
    "training": "#010206",
    "validation": "#010207",
    "baseline": "#010208",
}
#: Colours of the bars of a group, one after another.
BARS = ("training", "validation", "baseline")
STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "axes.edgecolor": COLOURS["rule"],
    "axes.labelcolor": COLOURS["muted"],
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "grid.color": COLOURS["rule"],
    "grid.linewidth": 0.6,
    "xtick.color": COLOURS["muted"],
    "ytick.color": COLOURS["muted"],
    "ytick.major.size": 0,
    "xtick.major.size": 3,
    "lines.solid_capstyle": "round",
}
#: Points of a curve; more cannot be told apart and only make the page heavy.
MOST_POINTS = 1000


def loss_chart(
    training: Series,
    validation: Series,
    baselines: Mapping[str, Mapping[str, float]],
    *,
    width: float,
) -> Html:
    """Cross-entropy over the steps, the baselines as horizontal lines named at the right.

    Args:
        training: Columns `step` and `loss`.
        validation: Columns `step` and `loss`; may be empty.
        baselines: Name to a score with `cross_entropy` and `perplexity`; may be empty.
        width: Inches.
    """
    with mpl.rc_context(STYLE):
        figure, axes = _axes(width, 3.6)
        if training:
            step, loss = training["step"], training["loss"]
            axes.plot(*thinned(step, loss), color=COLOURS["training"], linewidth=0.6, alpha=0.35)
            axes.plot(*thinned(step, smoothed(loss)), color=COLOURS["training"], linewidth=1.6)
        if validation:
            step, loss = validation["step"], validation["loss"]
            axes.plot(step, loss, "o-", color=COLOURS["validation"], linewidth=1.4, markersize=3.5)
        _draw_baselines(axes, baselines)
        axes.set_ylabel("nats per token")
        return _svg(figure, f"Cross-entropy by training step, {width:.0f} inches wide")


def step_chart(series: Series, column: str, *, noisy: bool = True) -> Html:
    """One column over the steps; if noisy, faint as measured and strong as a moving average."""
    with mpl.rc_context(STYLE):
        figure, axes = _axes(3.3, 2.1)
        step, values = series["step"], series[column]
        if noisy:
            axes.plot(*thinned(step, values), color=COLOURS["training"], linewidth=0.6, alpha=0.35)
            values = smoothed(values)
        axes.plot(*thinned(step, values), color=COLOURS["training"], linewidth=1.4)
        axes.set_ylim(bottom=0)
        return _svg(figure, f"{column.replace('_', ' ')} by training step")


def bar_chart(bars: Mapping[str, Mapping[str, float]], label: str, *, width: float) -> Html:
    """Bars of several systems for each group, from 0, with their figures.

    Args:
        bars: Group -> system -> figure; the same systems in each, at most `len(BARS)`.
        label: What is measured.
        width: Inches.
    """
    systems = list(next(iter(bars.values())))
    thick = 0.8 / len(systems)
    with mpl.rc_context({**STYLE, "axes.grid.axis": "x"}):
        figure = Figure(figsize=(width, 0.7 + 0.2 * len(bars) * len(systems)), layout="constrained")
        axes = figure.add_subplot()
        for place, system in enumerate(systems):
            figures = [group[system] for group in bars.values()]
            rows = np.arange(len(bars)) + thick * (place - (len(systems) - 1) / 2)
            drawn = axes.barh(rows, figures, thick * 0.86, color=COLOURS[BARS[place]])
            axes.bar_label(drawn, fmt="%.1f", padding=3, fontsize=7.5, color=COLOURS["muted"])
        axes.set_yticks(np.arange(len(bars)), list(bars))
        axes.invert_yaxis()
        axes.set_xlabel(label)
        return _svg(figure, f"{label} by subset, {width:.0f} inches wide")


def bar_legend(systems: Sequence[str]) -> Html:
    """What the bars of `bar_chart` stand for."""
    return legend(*zip(BARS, systems, strict=False))


def legend(*entries: tuple[str, str]) -> Html:
    """Pairs of a colour's name and what is drawn in it."""
    return tag(
        "p",
        *(
            tag("span", tag("i", class_=f"swatch {colour}"), meaning, class_="entry")
            for colour, meaning in entries
        ),
        class_="legend",
    )


def smoothed(values: Floats) -> Floats:
    """The mean over a window of a fortieth of the curve around each point; no lag.

    >>> smoothed(np.array([1.0, 3.0])).tolist()
    [1.0, 3.0]
    """
    half = len(values) // 80
    known = np.isfinite(values)
    total = np.cumsum(np.concatenate([[0.0], np.where(known, values, 0.0)]))
    count = np.cumsum(np.concatenate([[0], known]))
    places = np.arange(len(values))
    first, last = np.maximum(places - half, 0), np.minimum(places + half + 1, len(values))
    with np.errstate(invalid="ignore"):
        mean: Floats = (total[last] - total[first]) / (count[last] - count[first])
    return mean


def thinned(step: Floats, values: Floats) -> tuple[Floats, Floats]:
    """Every n-th point, at most about `MOST_POINTS`, the last one included."""
    stride = max(1, len(step) // MOST_POINTS)
    chosen = np.arange(len(step) - 1, -1, -stride)[::-1]
    return step[chosen], values[chosen]


def spread(values: Sequence[float], gap: float) -> list[float]:
    """Moves ascending `values` apart, as little as needed, until neighbours differ by `gap`.

    >>> spread([1.0, 1.25, 3.0], gap=0.5)
    [0.875, 1.375, 3.0]
    """
    groups: list[list[float]] = []
    for value in values:
        groups.append([value])
        while (
            len(groups) > 1
            and _centre(groups[-1]) - _centre(groups[-2])
            < gap * (len(groups[-1]) + len(groups[-2])) / 2
        ):
            groups[-2:] = [groups[-2] + groups[-1]]
    return [
        _centre(group) + gap * (place - (len(group) - 1) / 2)
        for group in groups
        for place in range(len(group))
    ]


def _centre(group: Sequence[float]) -> float:
    return sum(group) / len(group)


def _axes(width: float, height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.add_subplot()
    axes.set_xlabel("step")
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(FuncFormatter(_tick))
    axes.margins(x=0.01)
    return figure, axes


def _tick(value: float, _place: int | None) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.6g}"


def _draw_baselines(axes: Axes, baselines: Mapping[str, Mapping[str, float]]) -> None:
    ascending = sorted(baselines.items(), key=lambda item: item[1]["cross_entropy"])
    levels = [score["cross_entropy"] for _, score in ascending]
    for level in levels:
        axes.axhline(level, color=COLOURS["baseline"], linewidth=1, linestyle=(0, (4, 3)))
    low, high = axes.get_ylim()
    places = spread(levels, gap=(high - low) * 0.055)  # the height of a line of text
    for (name, score), place in zip(ascending, places, strict=True):
        axes.annotate(
            f"{name} {number(score['perplexity'])}",
            xy=(1, place),
            xycoords=("axes fraction", "data"),
            xytext=(4, 0),
            textcoords="offset points",
            verticalalignment="center",
            color=COLOURS["muted"],
        )


def _svg(figure: Figure, label: str) -> Html:
    """The figure as an element that scales, speaks its label and shares no id with another."""
    buffer = io.StringIO()
    nothing = dict.fromkeys(["Creator", "Date", "Format", "Type"])
    figure.savefig(buffer, format="svg", transparent=True, metadata=nothing)
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<(metadata|style)\b.*?</\1>", "", svg, flags=re.DOTALL)
    prefix = re.sub(r"\W+", "-", label.lower())
    svg = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{prefix}-", svg)
    svg = re.sub(r'(<svg\b[^>]*?) width="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r'(<svg\b[^>]*?) height="[^"]*"', r"\1", svg, count=1)
    for name, colour in COLOURS.items():
        svg = svg.replace(colour, f"var(--{name})")
    svg = re.sub(r"font-family: [^;\"]*", "font-family: inherit", svg)
    return Html(svg.replace("<svg", f'<svg role="img" aria-label="{label}"', 1).strip())
