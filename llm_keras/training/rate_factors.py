"""Learning rates that differ between variables, for any Keras optimizer."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import keras


class RateFactors(keras.Optimizer):
    """An optimizer whose learning rate is multiplied by a factor for chosen variables.

    Subclasses take ``self.rate_of(variable, learning_rate)`` for the learning rate. Weight decay
    goes by the schedule's own rate: with muP, that is what stays the same at every width.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._rate_factors: dict[str, float] = {}

    def scale_learning_rate(self, variables: Iterable[keras.Variable], factor: float) -> None:
        """Sets the factor of some variables; it is 1 for the others. To be called before `fit`."""
        self._rate_factors.update({self._var_key(variable): factor for variable in variables})

    def rate_of(self, variable: Any, learning_rate: Any) -> Any:
        """The learning rate of one variable."""
        factor = self._rate_factors.get(self._var_key(variable), 1.0)
        return learning_rate if factor == 1.0 else learning_rate * factor
