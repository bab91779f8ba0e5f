"""Connected components of documents that are nearly equal, and the one of each that stays.

While the edges fit into one worker: `least_of_components`. Beyond that `large_star` and
`small_star` in turn, on edges cut by node, until nothing changes: then every edge leads to the
least of its component.

References:
    Kiveris et al. 2014, Connected Components in MapReduce and Beyond, section 3.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pipelines import keys
from pipelines.keys import Rows

#: A document: who stays among several is the least in this order.
NODE = np.dtype([(name, keys.DTYPE[name]) for name in keys.ORDER])
#: `hub` is less than `to`.
EDGE = np.dtype([("hub", NODE), ("to", NODE)])


def edges(hubs: Rows, others: Rows) -> Rows:
    """Edges between rows of keys, each once."""
    table = np.zeros(len(hubs), EDGE)
    for name in keys.ORDER:
        table["hub"][name], table["to"][name] = hubs[name], others[name]
    return once(table)


def once(table: Rows) -> Rows:
    """The table, sorted by `to` and then by `hub`, without repeats."""
    table = table[np.lexsort([table[side][name] for side, name in _REVERSED])]
    new = np.ones(len(table), bool)
    new[1:] = table[1:] != table[:-1]
    return table[new]


_REVERSED = [(side, name) for side in ("hub", "to") for name in reversed(keys.ORDER)]


def numbered(table: Rows) -> tuple[Rows, Any, Any]:
    """All nodes in order, and hub and to of each edge as numbers of nodes."""
    both = np.concatenate([table["hub"], table["to"]])
    order = np.lexsort([both[name] for name in reversed(keys.ORDER)])
    ranked = both[order]
    new = np.ones(len(ranked), bool)
    new[1:] = ranked[1:] != ranked[:-1]
    numbers = np.empty(len(both), np.int64)
    numbers[order] = np.cumsum(new) - 1
    return ranked[new], numbers[: len(table)], numbers[len(table) :]


def least_of_components(table: Rows) -> tuple[Rows, Rows]:
    """Every node that is not the least of its component, and for each the least.

    Each node points to the least that it knows of; pointers are shortened and lowered along the
    edges until nothing changes: a few passes over arrays for components of any form.
    """
    nodes, hubs, others = numbered(table)
    least = np.arange(len(nodes))
    while True:
        before = least.copy()
        low = np.minimum(least[hubs], least[others])
        # Lower what both ends point to, so that whole trees meet and not only their leaves.
        for ends in (least[hubs], least[others], hubs, others):
            np.minimum.at(least, ends, low)
        least = least[least]
        if np.array_equal(before, least):
            break
    goes = least != np.arange(len(nodes))
    return nodes[goes], nodes[least[goes]]


def large_star(table: Rows) -> Rows:
    """Links the larger neighbours of every node to the least that it knows, itself included.

    Args:
        table: All edges of some nodes, in both directions: `to` is the node, `hub` a neighbour.
    """
    nodes, neighbours, centers = numbered(table)
    least = _least_neighbours(neighbours, centers, len(nodes))
    larger = neighbours > centers
    return _linked(nodes, least[centers[larger]], neighbours[larger])


def small_star(table: Rows) -> Rows:
    """Links the smaller neighbours of every node, and the node, to the least of them.

    Args:
        table: As of `large_star`.
    """
    nodes, neighbours, centers = numbered(table)
    least = _least_neighbours(neighbours, centers, len(nodes))
    smaller = neighbours < centers
    from_ = np.concatenate([neighbours[smaller], centers])
    to = np.concatenate([least[centers[smaller]], least[centers]])
    return _linked(nodes, to, from_)


def both_ways(table: Rows) -> Rows:
    """Every edge in both directions."""
    turned = np.zeros(len(table), EDGE)
    turned["hub"], turned["to"] = table["to"], table["hub"]
    return np.concatenate([table, turned])


def partition(table: Rows, partitions: int) -> Any:
    """The partition of each edge: that of its `to`."""
    return (table["to"]["id0"] % np.uint64(partitions)).astype(np.int64)


def _least_neighbours(neighbours: Any, centers: Any, count: int) -> Any:
    least = np.arange(count)
    np.minimum.at(least, centers, neighbours)
    return least


def _linked(nodes: Rows, hubs: Any, others: Any) -> Rows:
    different = hubs != others
    table = np.zeros(int(different.sum()), EDGE)
    table["hub"], table["to"] = nodes[hubs[different]], nodes[others[different]]
    return once(table)
