"""Noria: continuous training of models that stay fresh in production."""

__version__ = "0.1.0"
