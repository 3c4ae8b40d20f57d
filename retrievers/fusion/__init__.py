"""Fusion: combine lists with different score scales into one."""
