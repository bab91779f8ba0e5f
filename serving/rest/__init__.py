"""TensorFlow Serving's REST API: paths, JSON to tensors and back, status and metadata."""
