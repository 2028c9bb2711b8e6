"""Who gets a seat and when a model leaves: the decisions of trio-swap, without I/O and without a clock."""
