"""What a query is turned into before keys are searched with it."""
