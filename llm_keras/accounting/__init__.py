"""What a model is made of and what it costs to train, in figures, from its settings alone."""
