"""Frames that no honest client sends, by the thousand: nothing crashes, nothing grows, nobody else notices."""

import os
import random
import socket
import struct
from collections.abc import Sequence

from peer.client import Client
from peer.fault import Ended
from peer.wire import Kind, pack

from .fleet import Fleet
from .mangle import Stream, mangled
from .serving import Server, resident_kib
from .sizes import sized

FRAMES = sized(20_000, 1_000_000)
BETWEEN_GOOD_CLIENTS = 1000
GROWTH_KIB = 5 * 1024
WARM_FRAMES = 5000
RESET_ON_CLOSE = struct.pack("ii", 1, 0)
PATIENCE_SECONDS = 4.0
LINKED_SHARE = 0.1
LEAST_ANSWERED = 1 / 50


def recorded(server: Server) -> tuple[list[bytes], Sequence[bytes]]:
    """Honest Hellos of several clients, and what followed them in an honest session."""
    hellos = []
    for name in server.fleet.clients:
        with Client(server.fleet.where(server.port), server.fleet.clients[name]) as client:
            client.hello()
            client.get()
            client.bye()
            hellos.append(client.session.hello)
    return hellos, (client.session.get(), client.session.bye(), pack(Kind.LINK, os.urandom(72)))


def send(port: int, stream: Stream, waits: bool) -> int:
    """Send it and reset; those who wait read to the end first. Return how many bytes came back."""
    taken = 0
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        sock.settimeout(PATIENCE_SECONDS)
        try:
            sock.connect(("127.0.0.1", port))
            for piece in stream.pieces:
                sock.sendall(piece)
            sock.shutdown(socket.SHUT_WR)
            while waits and (data := sock.recv(4096)):
                taken += len(data)
        except TimeoutError:
            raise  # whoever sent all it had is not left waiting
        except OSError:
            pass  # reset, as it ought to be
    return taken


def send_after_link(server: Server, chance: random.Random) -> Stream:
    """Mangle an honest session's own Get and Bye, which would open."""
    with Client(server.fleet.where(server.port), server.fleet.clients["client-0"], PATIENCE_SECONDS) as client:
        client.hello()
        get, bye = client.session.get(), client.session.bye()
        stream = mangled(chance, [client.session.hello], (get, bye, get))
        try:
            for piece in stream.pieces:
                client.stream.send(piece)
        except Ended:
            return stream
        client.stream.finish()
        assert client.stream.end(PATIENCE_SECONDS) != "open"
    return stream


def test_no_frame_that_no_client_sends_does_harm(fleet: Fleet) -> None:
    seed = random.randrange(1 << 32)
    chance = random.Random(seed)
    options = ("--failing-hellos-per-source", 0, "--max-connections-per-source", 0)
    with Server(fleet, *options) as server:
        hellos, others = recorded(server)
        pids, resident = server.pids, 0
        sent = answered = streams = 0
        while sent < FRAMES:
            due = sent + BETWEEN_GOOD_CLIENTS
            while sent < due:
                if chance.random() < LINKED_SHARE:
                    sent += send_after_link(server, chance).frames
                    continue
                stream = mangled(chance, hellos, others)
                answered += send(server.port, stream, waits=chance.random() < 0.5) > 0
                sent, streams = sent + stream.frames, streams + 1
            assert server.fetch()["flavour"] == "dawn", f"seed {seed}, after {sent} frames"
            if sent < WARM_FRAMES:
                resident = resident_kib(pids)
        assert server.pids == pids, f"seed {seed}: {server.log}"
        server.check_sound()
        # A sanitizer keeps what was freed for a while.
        assert "COFFER_SANITIZED" in os.environ or resident_kib(pids) - resident <= GROWTH_KIB, f"seed {seed}"
    assert answered >= streams * LEAST_ANSWERED, "many got past Hello, or the states behind it were never met"
