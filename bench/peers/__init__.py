"""Peers: the programs that Noria is measured against, each with its pinned requirements and its server program."""
