"""KFP components, one a file."""
