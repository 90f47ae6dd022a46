"""What each chapter reads off its artifacts, and the claims that it makes of it."""
