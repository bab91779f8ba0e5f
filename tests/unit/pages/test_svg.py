"""The charts: where bars, limits and labels stand, and that they say what they show."""

from __future__ import annotations

import itertools
import re
import xml.etree.ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_keras.pages import svg
from llm_keras.pages.heat import heat, matrix
from llm_keras.pages.svg import Bin, Limit, histogram, meter
from tests.html_page import Page


def shapes(chart: str) -> list[dict[str, float | str]]:
    """The rectangles of a chart, read as XML."""
    found = []
    for shape in ET.fromstring(chart).iter("rect"):
        colour = re.search(r"--([\w-]+)", shape.attrib["style"])
        assert colour is not None
        numbers = {name: float(shape.attrib[name]) for name in ("x", "y", "width", "height")}
        found.append({**numbers, "colour": colour[1]})
    return found


def labels(chart: str) -> list[tuple[str, float]]:
    """Texts of a chart and where their middles are."""
    return [
        (each.text or "", float(each.attrib["x"])) for each in ET.fromstring(chart).iter("text")
    ]


def test_parts_of_a_bar_follow_each_other() -> None:
    chart = meter([("kept", 0.6), ("dropped-0", 0.0), ("dead", 0.3)], "60% kept", mark=0.75)
    kept, dead, mark = shapes(chart)
    assert (kept["x"], kept["width"], kept["colour"]) == (0, 60, "kept")
    assert (dead["x"], dead["width"], dead["colour"]) == (60, 30, "dead")
    assert (mark["x"], mark["colour"]) == (75, "ink")
    assert Page(chart).values("aria-label") == ["60% kept"]


def test_what_is_there_can_be_seen() -> None:
    """One in a million is drawn, nothing is not; a mark at the end is not outside."""
    (drawn,) = shapes(meter([("kept", 1e-6), ("dead", 0.0)], "", least=0.004))
    assert drawn["width"] == pytest.approx(0.4)
    assert shapes(meter([], "", mark=1.0))[0]["x"] == pytest.approx(99.4)


WORDS = [Bin(0, 5), Bin(10, 0), Bin(50, 100), Bin(100, 50), Bin(100_000, 1)]


def test_bars_of_a_histogram() -> None:
    """As high as their counts, one as wide as another; orange where a limit drops them."""
    limits = [Limit(50, "least"), Limit(100_000, "most")]
    bars = shapes(histogram(WORDS, limits, "Words"))[: len(WORDS)]
    room = svg.BOTTOM - svg.TOP
    assert [bar["height"] for bar in bars] == pytest.approx([room / 20, 0, room, room / 2, 1.5])
    assert len({bar["width"] for bar in bars}) == 1
    assert [bar["colour"] for bar in bars] == [
        "dropped-0", "dropped-0", "training", "training", "dropped-0",
    ]  # fmt: skip


def test_limits_stand_where_their_value_is() -> None:
    """On a border between its bars, or within a bar in proportion."""
    chart = histogram(WORDS, [Limit(30, "least"), Limit(100, "most")], "Words")
    wide = (svg.RIGHT - svg.LEFT) / len(WORDS)
    lines = [shape for shape in shapes(chart) if shape["colour"] == "weak"]
    middles = [float(line["x"]) + float(line["width"]) / 2 for line in lines]
    assert middles == pytest.approx([svg.LEFT + 1.5 * wide, svg.LEFT + 3 * wide], abs=0.02)
    assert {"≥ 30", "≤ 100"} <= {text for text, _ in labels(chart)}


def test_a_limit_drops_only_what_is_wholly_beyond() -> None:
    """The rules keep the least and the most themselves."""
    least, most = Limit(50, "least"), Limit(100, "most")
    assert [least.drops(low, high) for low, high in ((20, 50), (20, 51), (50, 100))] == [
        True, False, False,
    ]  # fmt: skip
    assert [most.drops(low, high) for low, high in ((99, 200), (100, 200))] == [False, True]


@settings(max_examples=200)
@given(
    st.lists(st.floats(0, 1e9), min_size=1, max_size=20, unique=True).map(sorted),
    st.lists(st.floats(-1, 2e9), max_size=4),
    st.data(),
)
def test_any_histogram_is_well_formed(
    starts: list[float], values: list[float], data: st.DataObject
) -> None:
    """Nothing stands outside the picture, and no two labels of the axis overlap."""
    counts = data.draw(st.lists(st.integers(0, 10**12), min_size=len(starts), max_size=len(starts)))
    bins = [Bin(start, count) for start, count in zip(starts, counts, strict=True)]
    chart = histogram(bins, [Limit(value, "most") for value in values], "A & B < C")
    for shape in shapes(chart):
        assert -1 <= float(shape["x"]) <= svg.WIDTH
        assert float(shape["x"]) + float(shape["width"]) <= svg.WIDTH + 0.1
        assert 0 <= float(shape["y"]) <= svg.HEIGHT
    axis = [(text, x) for text, x in labels(chart) if text[0] not in "≤≥"]
    for (left, at), (right, then) in itertools.pairwise(axis):
        assert at + len(left) * svg.CHARACTER / 2 <= then - len(right) * svg.CHARACTER / 2


def test_histogram_of_nothing() -> None:
    assert shapes(histogram([], [], "nothing"))
    assert shapes(histogram([Bin(0, 0)], [], "zero"))[0]["height"] == 0


def test_cells_are_darker_the_larger_their_figures_are() -> None:
    strengths = [heat("", strength, "") for strength in (0.001, 0.1, 1.0, 5.0)]
    darkness = [int(re.search(r"--heat: (\d+)%", cell)[1]) for cell in strengths]  # type: ignore[index]
    assert darkness[0] < darkness[1] < darkness[2] == darkness[3] <= 80
    assert "--heat" not in heat("·", 0.0, "")
    assert 'title="1 &lt; 2"' in heat("·", 0.0, "1 < 2")


def test_many_rows_open_on_demand() -> None:
    rows = [[f"source {n}", "1"] for n in range(40)]
    page = Page(matrix(["source"], ["short"], rows, "sources", shown=16))
    assert page.tags.count("details") == 1
    assert "24 more sources" in page.text
    assert page.tags.count("tr") == 42
    assert not Page(matrix(["source"], ["short"], rows[:16], "sources")).tags.count("details")
