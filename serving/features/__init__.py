"""Features: requests that come without what the online store knows, completed from there."""
