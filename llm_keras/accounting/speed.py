"""How fast a device multiplies matrices: what model FLOPs utilisation is a share of."""

from __future__ import annotations

import time
from typing import Any

#: Least seconds of one product, so that starting it costs little beside it; largest side of its
#: matrices.
LONG_ENOUGH, LARGEST = 0.004, 8192


def product_speed(
    tensorflow: Any, rows: int, inner: int, columns: int, precision: str, seconds: float
) -> float:
    """The fastest of the products made in so many seconds, as operations a second.

    Args:
        tensorflow: The module, which this package does not import.
        rows: Of the left matrix [rows, inner].
        inner: Its columns.
        columns: Of the right matrix [inner, columns].
        precision: The dtype of both.
        seconds: How long to measure, after a first product.
    """
    tf = tensorflow
    left = tf.cast(tf.random.stateless_normal([rows, inner], [0, 1]), precision)
    right = tf.cast(tf.random.stateless_normal([inner, columns], [0, 2]), precision)
    product = tf.function(lambda: tf.reduce_sum(tf.matmul(left, right)))
    product()  # traces
    fastest = float("inf")
    end = time.perf_counter() + seconds
    while fastest == float("inf") or time.perf_counter() < end:
        start = time.perf_counter()
        product().numpy()
        fastest = min(fastest, time.perf_counter() - start)
    return 2 * rows * inner * columns / fastest


def matmul_peak(tensorflow: Any, precision: str, seconds: float = 0.3) -> float:
    """Operations a second of a product of square matrices, as large as the device needs them.

    Args:
        tensorflow: The module.
        precision: The dtype.
        seconds: How long to measure the last size.
    """
    side = 256
    speed = product_speed(tensorflow, side, side, side, precision, 0)
    while side < LARGEST and 2 * side**3 / speed < LONG_ENOUGH:
        side *= 2
        speed = product_speed(tensorflow, side, side, side, precision, 0)
    return max(speed, product_speed(tensorflow, side, side, side, precision, seconds))
