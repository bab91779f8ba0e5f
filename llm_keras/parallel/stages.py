"""Cuts a chain of parts into stages of about equal bytes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from llm_keras.errors import UserError

FLOAT_BYTES = 4


class Weight(NamedTuple):
    """What is to be known of a variable.

    Attributes:
        bytes: Of its value.
        trained: Whether it has a gradient and slots.
    """

    bytes: int
    trained: bool = True


class Cost(NamedTuple):
    """What a part of the chain needs on its device.

    Attributes:
        name: Of the part.
        weights: The variables that it reads, by any key that tells them apart.
        kept: Bytes that it keeps between its forward and backward pass, for one micro-batch.
        border: Bytes of one micro-batch that the part before hands over.
    """

    name: str
    weights: Mapping[int, Weight]
    kept: int = 0
    border: int = 0


class Stage(NamedTuple):
    """Neighbouring parts on one device, and the bytes they are expected to need there.

    Attributes:
        parts: Their places in the chain.
        names: Of the first and the last part.
        weights: Bytes of variables whose home is here.
        slots: Bytes of their slots.
        gradients: Bytes of the sums of gradients.
        copies: Bytes of variables whose home is another stage.
        inputs: Bytes of what is kept of micro-batches in flight.
        kept: Bytes of what the backward pass of one micro-batch reads.
    """

    parts: slice
    names: tuple[str, str]
    weights: int
    slots: int
    gradients: int
    copies: int
    inputs: int
    kept: int

    @property
    def bytes(self) -> int:
        """All of them."""
        return sum(self[2:])


def cut(
    costs: Sequence[Cost], in_flight: Sequence[int], slots_per_weight: float = 2.0
) -> list[Stage]:
    """The stages of which the largest is as small as can be; then those most alike.

    Args:
        costs: Of all parts, in the chain's order.
        in_flight: By stage, micro-batches whose input is kept at once; see `schedules`.
        slots_per_weight: Numbers that the optimizer, and a mean of weights, keep of each weight.

    Raises:
        UserError: There are more stages than parts.
    """
    count, parts = len(in_flight), len(costs)
    if count > parts:
        raise UserError(
            f"training.parallelism.stage is {count}, but the model has {parts} parts"
            f" ({costs[0].name} to {costs[-1].name}); lower it to {parts} or less"
        )
    homes = _homes(costs)
    made: dict[tuple[int, int, int], Stage] = {}

    def stage(number: int, first: int, end: int) -> Stage:
        key = (in_flight[number], first, end)
        if key not in made:
            made[key] = _stage(costs, homes, first, end, key[0], slots_per_weight)
        return made[key]

    def best(limit: float | None) -> tuple[float, list[Stage]]:
        """By dynamic programming over the places of the cuts.

        Without a limit the largest stage is what counts, with one the sum of squares.
        """
        table: dict[int, tuple[float, list[Stage]]] = {0: (0.0, [])}
        for number in range(count):
            longer: dict[int, tuple[float, list[Stage]]] = {}
            for first, (score, stages) in table.items():
                for end in range(first + 1, parts - (count - number - 1) + 1):
                    new = stage(number, first, end)
                    if limit is None:
                        total = max(score, float(new.bytes))
                    elif new.bytes > limit:
                        continue
                    else:
                        total = score + float(new.bytes) ** 2
                    if end not in longer or total < longer[end][0]:
                        longer[end] = total, [*stages, new]
            table = longer
        return table[parts]

    return best(limit=best(None)[0])[1]


def _homes(costs: Sequence[Cost]) -> dict[int, int]:
    """The part in whose stage each variable lives: the first that reads it."""
    homes: dict[int, int] = {}
    for place, cost in enumerate(costs):
        for key in cost.weights:
            homes.setdefault(key, place)
    return homes


def _stage(
    costs: Sequence[Cost],
    homes: Mapping[int, int],
    first: int,
    end: int,
    in_flight: int,
    slots_per_weight: float,
) -> Stage:
    parts = costs[first:end]
    weights = {key: weight for cost in parts for key, weight in cost.weights.items()}
    own = [weight for key, weight in weights.items() if homes[key] >= first]
    trained = sum(weight.bytes for weight in own if weight.trained)
    return Stage(
        slice(first, end),
        (parts[0].name, parts[-1].name),
        weights=sum(weight.bytes for weight in own),
        slots=round(slots_per_weight * trained),
        gradients=sum(weight.bytes for weight in weights.values() if weight.trained),
        copies=sum(weight.bytes for key, weight in weights.items() if homes[key] < first),
        inputs=in_flight * parts[0].border,
        kept=sum(cost.kept for cost in parts),
    )


def lines(stages: Sequence[Stage]) -> Iterator[str]:
    """The plan as a table for people, in megabytes."""
    columns = ("weights", "slots", "gradients", "copies", "inputs", "kept")
    yield f"{'stage':5} {'parts':34}" + "".join(f"{name:>10}" for name in (*columns, "MB"))
    for number, stage in enumerate(stages):
        numbers = [*(getattr(stage, name) for name in columns), stage.bytes]
        first, last = stage.names
        parts = first if first == last else f"{first} to {last}"
        yield f"{number:<5} {parts:34}" + "".join(f"{value / 1e6:10.2f}" for value in numbers)
