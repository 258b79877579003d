"""Rpc: the Open Inference Protocol over gRPC, on the event loop of the HTTP server; loaded only when asked for."""
