"""Stages that choose a list as a set: relevant, and not the same thing twice."""
