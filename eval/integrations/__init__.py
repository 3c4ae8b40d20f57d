"""Other evaluation libraries: datasets from ir_datasets, pipelines in MTEB."""
