"""Models that learn to map conversations into the space of their summaries."""
