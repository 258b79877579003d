"""Serving: the predictor against other model servers, one core each for the server and its client."""
