"""The order in which the stages of a pipeline take micro-batches, as pure functions.

S stages, M micro-batches. A stage but the last runs a micro-batch forward, keeps only what went in,
and later makes the rest again for the backward pass. The last stage has nothing to wait for: its
forward and backward pass are one task, the backward one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

Kind = Literal["forward", "backward"]


class Task(NamedTuple):
    """One micro-batch through one stage."""

    kind: Kind
    stage: int
    micro_batch: int

    def needs(self, stages: int) -> list[Task]:
        """The tasks of other stages, and of its own forward pass, that must be done before."""
        _, stage, micro_batch = self
        before = [Task("forward", stage - 1, micro_batch)] if stage else []
        if self.kind == "backward" and stage < stages - 1:
            before = [Task("forward", stage, micro_batch), Task("backward", stage + 1, micro_batch)]
        return before


#: The tasks of each stage, in its order.
Orders = list[list[Task]]


def gpipe(stages: int, micro_batches: int) -> Orders:
    """All forward passes, then all backward ones: simple, with M micro-batches in flight.

    References:
        Huang et al. 2019, section 2.3.
    """
    return [_order(stage, stages, micro_batches, micro_batches) for stage in range(stages)]


def one_forward_one_backward(stages: int, micro_batches: int) -> Orders:
    """Each stage goes backward as soon as it can: at most S - s micro-batches in flight in stage s.

    References:
        Narayanan et al. 2021, "Efficient large-scale language model training on GPU clusters",
        section 2.2.1, "PipeDream-Flush".
    """
    return [_order(s, stages, micro_batches, stages - 1 - s) for s in range(stages)]


#: By the name in `config.Parallelism.schedule`.
ORDERS: dict[str, Callable[[int, int], Orders]] = {
    "gpipe": gpipe,
    "1f1b": one_forward_one_backward,
}


def _order(stage: int, stages: int, micro_batches: int, ahead: int) -> list[Task]:
    """Forward passes `ahead` of the backward ones; the last stage has backward ones alone."""
    if stage == stages - 1:
        return [Task("backward", stage, number) for number in range(micro_batches)]
    ahead = min(ahead, micro_batches)
    order = [Task("forward", stage, number) for number in range(ahead)]
    for number in range(micro_batches):
        if number + ahead < micro_batches:
            order.append(Task("forward", stage, number + ahead))
        order.append(Task("backward", stage, number))
    return order


def in_one_row(orders: Orders) -> list[Task]:
    """All tasks, each after those it needs and in its stage's order: the order to write them down.

    Raises:
        ValueError: The stages would wait for each other for ever.
    """
    waiting, done, row = [list(order) for order in orders], set[Task](), list[Task]()
    while any(waiting):
        before = len(row)
        for order in waiting:
            if order and done.issuperset(order[0].needs(len(orders))):
                task = order.pop(0)
                done.add(task)
                row.append(task)
        if len(row) == before:
            raise ValueError(f"the stages wait for each other at {[o[0] for o in waiting if o]}")
    return row


def in_flight(orders: Orders) -> list[int]:
    """The most micro-batches of which each stage keeps its input at once."""
    most = []
    for order in orders:
        kept, peak = set[int](), 0
        for task in order:
            kept.add(task.micro_batch)
            peak = max(peak, len(kept))
            if task.kind == "backward":
                kept.remove(task.micro_batch)
        most.append(peak)
    return most


class Timeline(NamedTuple):
    """When each task runs.

    Attributes:
        spans: Start and end of each task, in seconds.
        seconds: From the first start to the last end.
        bubble: The fraction of the stages' time in which they have nothing to do.
    """

    spans: dict[Task, tuple[float, float]]
    seconds: float
    bubble: float


def simulate(orders: Orders, seconds: Callable[[Task], float]) -> Timeline:
    """Runs the orders on paper, each stage a device of its own and nothing between them."""
    spans: dict[Task, tuple[float, float]] = {}
    free = [0.0] * len(orders)
    for task in in_one_row(orders):
        ready = [spans[before][1] for before in task.needs(len(orders))]
        start = max([free[task.stage], *ready])
        free[task.stage] = start + seconds(task)
        spans[task] = start, free[task.stage]
    return Timeline(spans, max(free), bubble(list(spans.values()), len(orders)))


def bubble(spans: Sequence[tuple[float, float]], stages: int) -> float:
    """The idle fraction of as many stages, from the starts and ends of all their tasks."""
    starts, ends = zip(*spans, strict=True)
    busy = sum(end - start for start, end in spans)
    return 1 - busy / (stages * (max(ends) - min(starts)))


def ideal_bubble(stages: int, micro_batches: int) -> float:
    """The same where all tasks of a kind take as long: ``(S - 1) / (M + S - 1)``."""
    return (stages - 1) / (micro_batches + stages - 1)
