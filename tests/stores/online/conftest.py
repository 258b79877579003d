"""Fixtures of the online stores."""

from online_places import online, online_address, redis_server

__all__ = ["online", "online_address", "redis_server"]
