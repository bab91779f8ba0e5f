"""Serves exported SavedModels over the REST API of TensorFlow Serving, from one Python process.

`server` starts and stops it, `app` puts the parts together: `rest` speaks HTTP and JSON, `models`
loads and swaps versions, `workers` bounds what runs at once. It needs TensorFlow, TF Text,
Starlette and uvicorn; of `llm_keras` only the errors.
"""
