"""Models from elsewhere, in and out: Hugging Face folders, GGUF files, Model Garden checkpoints."""
