"""Where a pipeline loses what it should find, and what else a reader of a run should know."""
