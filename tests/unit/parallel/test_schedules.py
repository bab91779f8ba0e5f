"""Orders of micro-batches: what must come before what, what is kept, and how long stages idle."""

import pytest

from llm_keras.parallel import schedules
from llm_keras.parallel.schedules import ORDERS, Task

SIZES = [(1, 1), (1, 4), (2, 1), (2, 4), (3, 2), (4, 1), (4, 4), (4, 8), (5, 3)]
cases = pytest.mark.parametrize(("stages", "micro_batches"), SIZES)
kinds = pytest.mark.parametrize("kind", ORDERS)


@kinds
@cases
def test_every_task_runs_once_and_after_what_it_needs(kind, stages, micro_batches):
    orders = ORDERS[kind](stages, micro_batches)
    row = schedules.in_one_row(orders)
    wanted = {
        Task(way, stage, number)
        for way in ("forward", "backward")
        for stage in range(stages)
        for number in range(micro_batches)
        if way == "backward" or stage < stages - 1
    }
    assert len(row) == len(wanted) == len(set(row))
    assert set(row) == wanted
    place = {task: index for index, task in enumerate(row)}
    for task in row:
        assert all(place[before] < place[task] for before in task.needs(stages))
    for stage, order in enumerate(orders):
        assert [task for task in row if task.stage == stage] == order


def test_a_task_needs_its_neighbours():
    assert Task("forward", 0, 3).needs(4) == []
    assert Task("forward", 2, 3).needs(4) == [Task("forward", 1, 3)]
    assert Task("backward", 3, 1).needs(4) == [Task("forward", 2, 1)]
    assert Task("backward", 1, 1).needs(4) == [Task("forward", 1, 1), Task("backward", 2, 1)]
    assert Task("backward", 0, 0).needs(1) == []


@cases
def test_what_is_kept(stages, micro_batches):
    """GPipe keeps all micro-batches, 1F1B as many as there are stages from there on."""
    all_kept = [micro_batches] * (stages - 1) + [1]
    assert schedules.in_flight(schedules.gpipe(stages, micro_batches)) == all_kept
    few = [min(stages - stage, micro_batches) for stage in range(stages - 1)] + [1]
    assert schedules.in_flight(schedules.one_forward_one_backward(stages, micro_batches)) == few


@kinds
@cases
def test_bubble_of_equal_tasks_is_the_formulas(kind, stages, micro_batches):
    """The last stage's one task takes as long as the two of the others."""
    seconds = {"forward": 1.0, "backward": 2.0}

    def of(task):
        return 3.0 if task.stage == stages - 1 else seconds[task.kind]

    timeline = schedules.simulate(ORDERS[kind](stages, micro_batches), of)
    assert timeline.seconds == 3.0 * (micro_batches + stages - 1)
    expected = schedules.ideal_bubble(stages, micro_batches)
    assert timeline.bubble == pytest.approx(expected)


def test_a_slow_stage_makes_the_others_idle():
    def of(task):
        return 4.0 if task.stage == 1 else 1.0

    timeline = schedules.simulate(schedules.gpipe(2, 3), of)
    assert timeline.seconds == 1 + 3 * 4 + 1
    assert timeline.bubble == pytest.approx(1 - (3 * 4 + 6) / (2 * 14))


def test_orders_that_wait_for_each_other_are_an_error():
    orders = schedules.gpipe(2, 1)
    orders[0].reverse()
    with pytest.raises(ValueError, match="wait for each other"):
        schedules.in_one_row(orders)
