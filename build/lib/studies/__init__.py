"""What chapters need and a user of `began` does not: studies, figures, the toy. Nothing in `began` imports it."""
