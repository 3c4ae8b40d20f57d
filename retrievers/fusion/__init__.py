"""Fusion: lists with scores of different scales made one."""
