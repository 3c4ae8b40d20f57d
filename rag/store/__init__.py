"""Persistence: fingerprints, atomic folders, and the artifact store."""
