"""Benchmarks: the figures in the documents, and the programs that make them again."""
