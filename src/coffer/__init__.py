"""Coffer hands secrets to machines; from Python, ``coffer.fetch(server, key)`` returns a Shard.

Names are imported when they are first used: every program of coffer imports this module, and none needs them all.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from . import aio
    from .client.fetch import Client, fetch
    from .errors import (
        CofferError,
        CutError,
        DefinitionError,
        EnvelopeError,
        FetchError,
        FrameError,
        IdError,
        KeyFileError,
        MissingNameError,
        NoAnswerError,
        OpenError,
        OperatorError,
        OrderError,
        PeerError,
        RefusedError,
        SettingsError,
        UnreachableError,
    )
    from .shard import Shard, Value
    from .version import VERSION as __version__

__all__ = [
    "Client",
    "CofferError",
    "CutError",
    "DefinitionError",
    "EnvelopeError",
    "FetchError",
    "FrameError",
    "IdError",
    "KeyFileError",
    "MissingNameError",
    "NoAnswerError",
    "OpenError",
    "OperatorError",
    "OrderError",
    "PeerError",
    "RefusedError",
    "SettingsError",
    "Shard",
    "UnreachableError",
    "Value",
    "__version__",
    "aio",
    "fetch",
]

# What is not here is one of the errors.
_HOMES = {"Client": "client.fetch", "Shard": "shard", "aio": "aio", "fetch": "client.fetch"}


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module 'coffer' has no attribute {name!r}")
    from importlib import import_module

    if name == "__version__":
        return import_module("coffer.version").VERSION
    if name == "Value":
        from datetime import date, datetime, time

        return str | int | float | bool | datetime | date | time
    home = import_module(f"coffer.{_HOMES.get(name, 'errors')}")
    return home if name == "aio" else getattr(home, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
