"""Training: the recipe, and the parts that a script of one's own can use."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from llm_keras.training.recipe import train
    from llm_keras.training.trainer import Trainer

__all__ = ["Trainer", "train"]


def __getattr__(name: str) -> Any:
    """Loads TensorFlow with the first name that needs it: looking at checkpoints does not."""
    if name == "train":
        from llm_keras.training.recipe import train

        return train
    if name == "Trainer":
        from llm_keras.training.trainer import Trainer

        return Trainer
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
