"""Run trials: measure one configuration, keep the study in Optuna's storage, recover after a kill, run workers."""
