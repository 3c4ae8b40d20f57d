"""What learns to land conversations in the space of their summaries."""
