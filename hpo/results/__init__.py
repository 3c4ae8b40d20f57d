"""Results of a sweep: the choice, its test against the baseline, and the files and report written about it."""
