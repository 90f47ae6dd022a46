"""What a run leaves behind, and where what others left lies."""
