"""The row generator against SplitMix64 in plain Python integers, and against chance."""

import numpy as np
import tensorflow as tf

from llm_keras.generation import row_random

MASK = 2**64 - 1


def splitmix64(state: int, count: int) -> int:
    """The `count`-th number (from 1) of SplitMix64 started at `state`."""
    x = (state + count * row_random.GAMMA) & MASK
    x = ((x ^ (x >> 30)) * row_random.MULTIPLIERS[0]) & MASK
    x = ((x ^ (x >> 27)) * row_random.MULTIPLIERS[1]) & MASK
    return x ^ (x >> 31)


def test_the_oracle_is_splitmix64():
    """First numbers for seed 1234567, as published with the reference implementation."""
    assert splitmix64(1234567, 1) == 6457827717110365317
    assert splitmix64(1234567, 2) == 3203168211198807973


def test_equals_splitmix64_in_python():
    """Seeds of both signs, positions up to the largest int32."""
    seeds = [0, 1, -1, 2**31 - 1, -(2**31), 42]
    positions = [0, 1, 2, 2**31 - 1, 7, 65_535]
    drawn = row_random.uniform(tf.constant(seeds), tf.constant(positions)).numpy()
    expected = [
        (splitmix64(splitmix64(seed & MASK, 0), position + 1) >> 40) / 2**24
        for seed, position in zip(seeds, positions, strict=True)
    ]
    assert drawn.tolist() == expected


def test_is_uniform_and_neighbours_are_independent():
    """65,536 (seed, position) pairs: mean, spread, and correlation along both axes."""
    seed, position = np.meshgrid(np.arange(256), np.arange(256), indexing="ij")
    drawn = row_random.uniform(
        tf.constant(seed.ravel(), tf.int32), tf.constant(position.ravel(), tf.int32)
    )
    u = drawn.numpy().reshape(256, 256).astype("float64")
    assert 0 <= u.min() < u.max() < 1
    assert abs(u.mean() - 1 / 2) < 0.005
    assert abs(u.var() - 1 / 12) < 0.001
    assert abs(np.corrcoef(u[1:].ravel(), u[:-1].ravel())[0, 1]) < 0.015
    assert abs(np.corrcoef(u[:, 1:].ravel(), u[:, :-1].ravel())[0, 1]) < 0.015
    assert len(np.unique(u)) > 65_000
