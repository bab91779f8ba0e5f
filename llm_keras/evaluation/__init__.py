"""Held-out quality beside honest baselines, and the report of a run."""
