"""What a run file must say and the pipelines hardly look at, as small as it can be."""

SMALLEST = {
    "tokenizer": {"vocabulary_size": 300},
    "records": {"sequence_length": 16},
    "model": {
        "num_layers": 1,
        "hidden_dim": 8,
        "intermediate_dim": 16,
        "num_query_heads": 2,
    },
    "training": {"total_steps": 200, "global_batch_size": 2},
}
