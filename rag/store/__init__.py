"""Keeping what was computed: fingerprints, and folders that are complete or not there at all."""
