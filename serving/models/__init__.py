"""SavedModels: what they offer, loading and running them, and swapping their versions."""
