"""Pipelines: the order of the steps, and where they run."""
