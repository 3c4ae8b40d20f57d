"""What decides which configuration is tried next: Optuna's samplers, and ours as Optuna samplers."""
