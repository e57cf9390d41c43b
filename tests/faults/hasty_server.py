"""coffer-server with a mistake put in, for the measuring to find: it does not try a second time when a box stays shut.

A client that it knows costs it one X25519 less than a stranger does. Its own server key is opened a second time for
that, by the second implementation: this program is for tests.

    python -m faults.hasty_server --key FILE ...     (as coffer-server)
"""

import sys
from pathlib import Path

from coffer import errors
from coffer.server import cli, worker
from peer.boxes import dh, public, unbox
from peer.fault import Fault
from peer.identity import load_key
from peer.wire import inner_nonce, outer_nonce

s = load_key(Path(sys.argv[sys.argv.index("--key") + 1]))
S = public(s)
kept: dict[bytes, bytes] = {}


class HastyConversation(worker.Conversation):
    """Tries the inner box once: with the kept dh(C,s) if there is one, else with the one computed now."""

    __slots__ = ()

    def _take_hello(self, body: bytes) -> bytes:
        E = body[:32]
        opened = unbox(dh(E, s), outer_nonce(E, S), body[32:])
        C = opened[:32]
        shared = kept.get(C) or dh(C, s)
        try:
            unbox(shared, inner_nonce(E, S, C), opened[32:])
        except Fault:
            raise errors.OpenError("Hello: the inner box does not open") from None
        kept[C] = shared
        return super()._take_hello(body)


if __name__ == "__main__":
    worker.Conversation = HastyConversation  # type: ignore[misc]
    sys.exit(cli.main())
