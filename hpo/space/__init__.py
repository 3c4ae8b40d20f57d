"""The space of a sweep: distributions in a pipeline's tree, the parameters they make, and points in it."""
