"""Query encoders, which transform a query before keys are searched."""
