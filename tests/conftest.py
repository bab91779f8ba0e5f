"""What is not a test is not collected: programs that tests start as processes of their own."""

collect_ignore = [
    "fuzz/readers.py",
    "reference/garden_transformer.py",
    "reference/llama.py",
    "unit/parallel/pipelines.py",
    "unit/parallel/mesh_of_workers.py",
    "unit/parallel/meshes.py",
    "unit/training/small.py",
    "unit/training/two_devices.py",
    "unit/training/two_workers.py",
]
