"""Tuning without a sweep file: the space is made from the pipeline and from what the data allow."""
