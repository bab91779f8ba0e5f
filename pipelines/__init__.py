"""Beam pipelines: from sources to curated documents to TFRecords; none needs TensorFlow."""
