"""What a run computes on: precision, compilers, graphs, and several processes."""
