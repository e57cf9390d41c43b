"""Fetching a shard under asyncio: what ``fetch`` does, without blocking the loop.

Not here: what an end means (``verdict``), whom to ask when (``fetch``).
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

from coffer.errors import CofferError
from coffer.protocol import ClientSession

from .connection import no_connection
from .exchange import PIECE_BYTES
from .fetch import Client, attempts, keep
from .verdict import CLOSED, LATE, judge, receive, sum_up

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Unpack

    from coffer._core import Keypair
    from coffer.shard import Shard

    from .address import Address
    from .fetch import Options, PathLike

# A host of several addresses, some of them dead, is tried side by side (RFC 8305).
STAGGER_SECONDS = 0.25


async def fetch(
    server: str | Sequence[str] | None = None, key: PathLike | None = None, **options: Unpack[Options]
) -> Shard:
    """Return the shard of the key in a key file, as ``coffer.fetch`` does, and raise what that raises.

    Files are read and written, and ``passphrase`` and ``tell`` called, in other threads.
    """
    client = await asyncio.to_thread(Client, server, key, **options)
    if client._offline:
        return await asyncio.to_thread(client._recall)
    try:
        address, response = await _first_answer(client)
    except CofferError as error:
        return await asyncio.to_thread(client._stand_in, error)
    return await asyncio.to_thread(client._accept, address, response)


async def _first_answer(client: Client) -> tuple[Address, bytes]:
    errors: list[CofferError] = []
    for address, pause in attempts(client._servers, client._retries):
        await asyncio.sleep(pause)
        try:
            return address, await _request(address, client._keypair, client._timeout)
        except CofferError as error:
            errors = keep(errors, error, len(client._servers))
    raise sum_up(errors)


async def _request(address: Address, keypair: Keypair, seconds: float) -> bytes:
    session = ClientSession(keypair, address.server)
    deadline = asyncio.get_running_loop().time() + seconds
    reader, writer = await _connect(address, deadline)
    try:
        ended = await _run(session, address, reader, writer, deadline)
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
    finally:
        writer.transport.abort()
    judge(session, address, keypair.public, ended)
    assert session.response is not None
    return session.response


async def _connect(address: Address, deadline: float) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    try:
        async with asyncio.timeout_at(deadline):
            return await asyncio.open_connection(address.host, address.port, happy_eyeballs_delay=STAGGER_SECONDS)
    except (OSError, UnicodeError) as error:
        raise no_connection(address, error) from None


async def _run(
    session: ClientSession,
    address: Address,
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    deadline: float,
) -> str | None:
    """Drive the session; say how the stream ended if that was before the session did."""
    writer.write(session.hello)
    try:
        async with asyncio.timeout_at(deadline):
            while not session.closed:
                data = await reader.read(PIECE_BYTES)
                if not data:
                    return CLOSED
                writer.write(receive(session, data, address))
    except TimeoutError:
        return LATE
    except OSError:
        return CLOSED
    return None
