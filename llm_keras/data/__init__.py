"""Documents, rules, packed records and the order they are read in."""
