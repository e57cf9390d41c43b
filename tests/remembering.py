"""A server and a client in a process that stops at each step, so that a test can look through its memory.

Everything secret comes in over descriptors that Python never reads: the keys as key files, the shard through a
process that ends. Run as: remembering.py C-FD S-FD E-FD F-FD R-HEX RESPONSE-FD
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable

from coffer._core import Keypair, Locker, Responder, Table, TableWriter, memory_is_locked
from coffer.protocol import ClientSession, ServerSession
from serving import FixedSalt


def stop(word: str) -> None:
    """Say where we are and wait to be sent on."""
    print(word, flush=True)
    sys.stdin.readline()


def on_a_stack_of_its_own(receive: Callable[[bytes], bytes], data: bytes) -> bytes:
    """Call it in a thread that stands still afterwards, so that whatever was left on its stack stays there."""
    said: list[bytes] = []
    done, never = threading.Semaphore(0), threading.Lock()
    never.acquire()

    def act() -> None:
        said.append(receive(data))
        done.release()
        never.acquire()

    threading.Thread(target=act, daemon=True).start()
    done.acquire()
    return said[0]


def load(locker: Locker, client: bytes, response_fd: int) -> Table:
    fd = os.memfd_create("table")
    if not (child := os.fork()):
        writer = TableWriter(locker, 1)
        writer.add("web", [client], os.read(response_fd, 65_536))
        writer.write(fd)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    return Table(fd, locker)


def serve(keypairs: dict[str, Keypair], salt: bytes, response_fd: int) -> None:
    locker = Locker()
    table = load(locker, keypairs["c"].public, response_fd)
    responder = Responder((keypairs["s"],), epoch=keypairs.pop("f"), kept=4)
    client = ClientSession(keypairs["c"], keypairs["s"].public, ephemeral=keypairs.pop("e"))
    server = ServerSession(FixedSalt(responder, salt), table.find)  # type: ignore[arg-type]
    link = on_a_stack_of_its_own(server.receive, client.hello)
    stop(f"linked {memory_is_locked()}")
    get = client.receive(link)
    del client
    assert len(on_a_stack_of_its_own(server.receive, get)) > 256
    stop("fetched")
    server.receive_end()
    responder.renew()
    stop("ended")


def main() -> None:
    fds, salt, response_fd = sys.argv[1:5], bytes.fromhex(sys.argv[5]), int(sys.argv[6])
    serve({name: Keypair.read(int(fd), name) for name, fd in zip("csef", fds, strict=True)}, salt, response_fd)


main()
