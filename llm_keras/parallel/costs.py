"""What each part of a model costs its device, read from a trace of it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import tensorflow as tf

from llm_keras.parallel.engine import Carry, Learner
from llm_keras.parallel.stages import Cost, Weight

#: Operations that give another view of a buffer, not another buffer.
VIEWS = frozenset({"Identity", "Reshape", "ExpandDims", "Squeeze", "StopGradient"})
#: What is not kept for the backward pass, because it is there anyway.
GIVEN = frozenset({"Placeholder", "ReadVariableOp", "Const"})


def measure(learner: Learner, rows: int) -> list[Cost]:
    """The costs of all parts, for micro-batches of so many rows of the greatest length.

    Each part is traced with its gradient. What its forward operations give to its backward ones is
    what it keeps; the last one also a block of logits.
    """
    batch = learner.shapes(rows)
    carry: dict[str, tf.TensorSpec] = {}
    costs, known = [], dict[Any, tuple[int, dict[str, tf.TensorSpec]]]()
    for place, (name, variables) in enumerate(learner.parts()):
        shapes = tuple((tuple(v.shape), v.trainable) for v in variables)
        alike = (name.rstrip("0123456789"), shapes, tuple(sorted(carry.items())))
        if alike not in known:  # Block after block costs the same; a trace takes its time.
            known[alike] = _trace(learner, slice(place, place + 1), carry, batch)
        kept, outputs = known[alike]
        weights = {id(v): Weight(_bytes(v), bool(v.trainable)) for v in variables}
        costs.append(Cost(name, weights, kept, border=sum(map(_bytes, carry.values()))))
        carry = outputs
    costs[-1] = costs[-1]._replace(kept=costs[-1].kept + learner.loss_bytes(rows))
    return costs


def _trace(
    learner: Learner, where: slice, carry: dict[str, tf.TensorSpec], batch: dict[str, tf.TensorSpec]
) -> tuple[int, dict[str, tf.TensorSpec]]:
    """Bytes that a part keeps, and what it hands over."""
    kept: list[int] = []

    def both_ways(carry: Carry, batch: Carry) -> Carry:
        graph = tf.compat.v1.get_default_graph()
        values = [variable.value for variable in learner.trained(where)]
        with tf.GradientTape() as tape:
            tape.watch(carry)
            outputs = learner.forward(where, carry, batch)
        forward = list(graph.get_operations())
        tape.gradient(outputs, [values, carry])
        backward = graph.get_operations()[len(forward) :]
        kept.append(_kept({id(op) for op in forward}, backward))
        return outputs

    traced = tf.function(both_ways, autograph=False).get_concrete_function(carry, batch)
    handed = {
        key: tf.TensorSpec(value.shape, value.dtype)
        for key, value in traced.structured_outputs.items()
    }
    return kept[0], handed


def _kept(forward: set[int], backward: Iterable[tf.Operation]) -> int:
    buffers = {}
    for operation in backward:
        for read in operation.inputs:
            if id(read.op) not in forward:
                continue
            tensor = read
            while tensor.op.type in VIEWS:
                tensor = tensor.op.inputs[0]
            if tensor.op.type not in GIVEN and tensor.shape.is_fully_defined():
                buffers[tensor.name] = _bytes(tensor)
    return sum(buffers.values())


def _bytes(x: Any) -> int:
    """Of a tensor, a variable or the shape of one."""
    return int(tf.TensorShape(x.shape).num_elements()) * int(tf.as_dtype(x.dtype).size)
