"""The library for asyncio: ``await coffer.aio.fetch(server, key)``."""

from .client.aio import fetch

__all__ = ["fetch"]
