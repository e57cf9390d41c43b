"""A house in which the second implementation makes everything but the server: keys, key files, sealed definitions."""

from __future__ import annotations

import os

from house import House

from peer import envelope
from peer.boxes import public
from peer.identity import Address, format_id, save_key


class PeerHouse(House):
    """``secrets`` are the secret keys as bytes, by name."""

    def make_keys(self) -> None:
        self.secrets = {name: os.urandom(32) for name in self.names}
        for name, secret in self.secrets.items():
            save_key(self.folder / f"{name}.key", secret)

    def id(self, name: str) -> str:
        return format_id(public(self.secrets[name]))

    def sealed(self, text: bytes) -> bytes:
        S = public(self.secrets["server"])
        return envelope.armor(envelope.seal(text, self.secrets["companion"], S, self.serial, os.urandom(24))).encode()

    @property
    def where(self) -> Address:
        return Address(public(self.secrets["server"]), "127.0.0.1", self.port)
