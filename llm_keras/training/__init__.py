"""Training: the recipe, and the parts that a script of one's own can use."""
