"""Measures how fast this machine trains, roughly, without training."""

from __future__ import annotations

import importlib
import os
from typing import Any

from llm_keras import config
from llm_keras.accounting.speed import product_speed
from llm_keras.errors import UserError

#: Share of the measured peak that a training step reaches; small models reach less.
TRAINING_SHARE = 0.5
#: Seconds of measurement.
MEASURED_SECONDS = 2.0


def calibrate(run: config.Run | None = None) -> float:
    """Floating-point operations a second that training can be expected to reach here.

    Half of the speed of the run's largest matrix product (its feed-forward layer, over the tokens
    of one micro-batch) in the run's precision: norms, activations, attention and the optimizer take
    the other half of the time, and more of it in a small model.

    Args:
        run: Whose shapes to measure; None: products of 1024 x 1024 matrices in float32.

    Raises:
        UserError: TensorFlow is not installed.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # of figures, not of start-up notes
    try:
        # By name: planning itself must not need TensorFlow.
        tensorflow: Any = importlib.import_module("tensorflow")
    except ImportError:
        raise UserError(
            "--calibrate measures with TensorFlow, which is not installed: install"
            " llm-keras[train], or give --flops"
        ) from None
    rows, inner, columns, precision = 1024, 1024, 1024, "float32"
    if run is not None:
        parts = run.training.parallelism.data * run.training.gradient_accumulation_steps
        rows = run.training.global_batch_size // parts * run.records.sequence_length
        inner, columns = run.model.hidden_dim, run.model.intermediate_dim
        precision = run.training.precision
    speed = product_speed(tensorflow, rows, inner, columns, precision, MEASURED_SECONDS)
    return TRAINING_SHARE * speed
