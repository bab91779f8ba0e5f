"""Cutting a chain into stages of about equal bytes."""

import itertools

import pytest

from llm_keras.errors import UserError
from llm_keras.parallel import stages
from llm_keras.parallel.stages import Cost, Weight


def chain(*sizes, **last):
    """Parts with one variable each."""
    parts = [Cost(f"part_{i}", {i: Weight(size)}) for i, size in enumerate(sizes)]
    parts[-1] = parts[-1]._replace(**last)
    return parts


def places(plan):
    return [(stage.parts.start, stage.parts.stop) for stage in plan]


def test_equal_parts_make_equal_stages():
    assert places(stages.cut(chain(*[10] * 8), [1] * 4)) == [(0, 2), (2, 4), (4, 6), (6, 8)]


def test_no_cut_has_a_smaller_largest_stage():
    """Against all cuts there are, with variables that several parts read."""
    costs = [
        Cost(f"part_{i}", {i: Weight(weight), 0: Weight(50)}, kept=kept, border=7)
        for i, (weight, kept) in enumerate([(50, 9), (31, 8), (4, 80), (15, 0), (26, 60), (5, 3)])
    ]
    in_flight = [3, 2, 1]
    found = max(stage.bytes for stage in stages.cut(costs, in_flight))
    largest = []
    for first, second in itertools.combinations(range(1, 6), 2):
        borders = [0, first, second, 6]
        homes = stages._homes(costs)
        made = [
            stages._stage(costs, homes, borders[s], borders[s + 1], in_flight[s], 2.0)
            for s in range(3)
        ]
        largest.append(max(stage.bytes for stage in made))
    assert found == min(largest) < max(largest)


def test_where_one_part_is_the_largest_stage_the_others_are_alike():
    plan = stages.cut(chain(100, 10, 10, 10, 10, 10, 10), [1] * 3)
    assert places(plan) == [(0, 1), (1, 4), (4, 7)]


def test_bytes_by_purpose():
    """A tied matrix lives in the first stage; the last has a copy, and a gradient of its own."""
    tied = Weight(100)
    costs = [
        Cost("embedding", {0: tied}, kept=5),
        Cost("block", {1: Weight(20), 2: Weight(8, trained=False)}, kept=40, border=6),
        Cost("head", {3: Weight(4), 0: tied}, kept=30, border=6),
    ]
    first, last = stages.cut(costs, [2, 1], slots_per_weight=2)
    assert places([first, last]) == [(0, 1), (1, 3)]
    assert first[2:] == (100, 200, 100, 0, 0, 5)
    assert last[2:] == (20 + 8 + 4, 48, 20 + 4 + 100, 100, 6, 70)
    assert last.bytes == 32 + 48 + 124 + 100 + 6 + 70


def test_micro_batches_in_flight_move_a_cut():
    """What the first stage keeps of many micro-batches is worth a part."""
    costs = [Cost(f"part_{i}", {i: Weight(10)}, border=10) for i in range(6)]
    assert places(stages.cut(costs, [1, 1])) == [(0, 3), (3, 6)]
    assert places(stages.cut(costs, [1, 6])) == [(0, 4), (4, 6)]


def test_more_stages_than_parts_is_an_error():
    with pytest.raises(UserError, match=r"stage is 4, but the model has 3 parts .* lower it to 3"):
        stages.cut(chain(1, 1, 1), [1] * 4)


def test_the_plan_can_be_read():
    heading, *rows = stages.lines(stages.cut(chain(2_000_000, 10_000_000, kept=500_000), [2, 1]))
    assert " ".join(heading.split()) == (
        "stage parts weights slots gradients copies inputs kept MB"
    )
    assert " ".join(rows[0].split()) == "0 part_0 2.00 4.00 2.00 0.00 0.00 0.00 8.00"
    assert " ".join(rows[1].split()) == "1 part_1 10.00 20.00 10.00 0.00 0.00 0.50 40.50"
