"""Cluster: the room of the Kubernetes client, in which a champion is an InferenceService."""
