"""Keras optimizers whose updates go through `keras.StatelessScope`."""

from __future__ import annotations

from types import MethodType

import keras
from keras.src.backend.tensorflow.optimizer import TFOptimizer
from keras.src.optimizers.base_optimizer import BaseOptimizer


def make_functional(optimizer: keras.Optimizer) -> None:
    """Gives one optimizer the methods of the other backends, which assign to Keras's variables.

    Those of the TensorFlow backend write to TensorFlow's variables at once, for `tf.distribute`. A
    stateless scope does not see that, and on a mesh a variable cannot be read after it was written:
    Adam would divide by a moment of the step before. A test pins what this relies on.
    """
    for name, method in vars(TFOptimizer).items():
        is_override = name in vars(BaseOptimizer) and getattr(type(optimizer), name) is method
        if name != "__init__" and is_override:
            plain = MethodType(getattr(BaseOptimizer, name), optimizer)
            object.__setattr__(optimizer, name, plain)
    # The key of the backend, whose slots are there already; within a scope a value is a tensor.
    object.__setattr__(optimizer, "_var_key", lambda variable: variable._value._unique_id)
