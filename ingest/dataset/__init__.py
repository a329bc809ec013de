"""The dataset contract: schemas, manifest, reader and writer of a dataset folder. No torch here."""
