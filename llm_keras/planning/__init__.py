"""What a run needs before it starts: parameters, tokens, memory, hours. Without TensorFlow."""

from llm_keras.accounting.parameters import parameter_counts
from llm_keras.planning.calibration import calibrate
from llm_keras.planning.plan import Plan, plan

__all__ = ["Plan", "calibrate", "parameter_counts", "plan"]
