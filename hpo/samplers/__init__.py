"""Samplers, which decide the configuration to try next: Optuna's, and those of this package as Optuna samplers."""
