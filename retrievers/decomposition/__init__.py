"""Questions that ask for several things: how they are split, and how the lists of their parts are brought together."""
