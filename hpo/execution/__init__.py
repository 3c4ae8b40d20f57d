"""Running trials: measuring one configuration, the study in Optuna's storage, recovery after a kill, and workers."""
