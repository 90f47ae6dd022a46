"""How good and how different pictures are."""
