"""Held-out quality beside honest baselines, and the report of a run.

TensorFlow is imported when a network is evaluated, not for the report.
"""

from llm_keras.evaluation.evaluate import evaluate

__all__ = ["evaluate"]
