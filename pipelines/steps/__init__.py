"""The steps of curation, in their order: each a pipeline of its own that leaves files."""
