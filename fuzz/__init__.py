"""Fuzzing: the parsers of the predictor under inputs that a coverage-guided fuzzer makes up."""
