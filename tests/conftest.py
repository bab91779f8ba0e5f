"""What is collected, and in which order."""

collect_ignore = [  # programs that tests start as processes of their own
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

#: Files that take minutes begin first, so that processes that share the tests end together.
LONGEST = (
    "test_runners",
    "test_guide",
    "test_option_pairs",
    "test_smollm2",
    "test_model_garden",
    "test_training",
    "test_curation_demo",
    "test_meshes",
    "test_two_devices",
    "test_two_workers",
    "test_launch",
    "test_export",
    "test_pipeline",
)


def pytest_collection_modifyitems(items):
    places = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path.stem, len(LONGEST)))
