"""The peer as a program, for tests of programs that are not Python.

    python -m tests.peer keygen FILE
    python -m tests.peer server --key FILE [--definition TOML] [--everyone HEX] [--listen HOST:PORT]
    python -m tests.peer client --server coffer://ID@HOST:PORT --key FILE [--sessions N]

The server prints "listening on HOST:PORT", serves until SIGINT or SIGTERM and then prints as JSON how its
conversations ended. The client prints its shard as JSON, or the response as it came with --hex. With --trick,
--cut, --respond and --deed the two are dishonest; the names are those of tricks.py and deeds.py.
"""

import argparse
import json
import os
import signal
import sys
from pathlib import Path

from . import definition, fault, trick
from .client import Client
from .deed import Deed, attempt
from .deeds import DEEDS
from .identity import Address, load_key, parse_address, save_key
from .server import Manner, Server, honest
from .tricks import TRICKS
from .wire import Kind

EXITS = {fault.Unanswered: 69, fault.Refused: 77}


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser("python -m tests.peer", description="The second coffer, for tests.")
    verbs = top.add_subparsers(required=True)
    keygen = verbs.add_parser("keygen", help="make a key file, print its id")
    keygen.add_argument("file", type=Path)
    keygen.set_defaults(run=run_keygen)
    _server_flags(verbs.add_parser("server", help="serve until a signal comes"))
    _client_flags(verbs.add_parser("client", help="fetch a shard"))
    return top


def _server_flags(server: argparse.ArgumentParser) -> None:
    server.add_argument("--key", type=Path, action="append", required=True, help="twice while keys rotate")
    server.add_argument("--definition", type=Path, help="a definition in plain TOML")
    server.add_argument("--everyone", type=bytes.fromhex, help="the response of all others, CBOR in hex")
    server.add_argument("--listen", default="127.0.0.1:0")
    how = server.add_mutually_exclusive_group()
    how.add_argument("--trick", choices=TRICKS, help="be this kind of false server")
    how.add_argument("--cut", type=int, metavar="OFFSET", help="end the answers after so many bytes")
    how.add_argument("--respond", type=bytes.fromhex, metavar="HEX", help="put these bytes into every OkGet")
    server.set_defaults(run=run_server)


def _client_flags(client: argparse.ArgumentParser) -> None:
    client.add_argument("--server", required=True, help="coffer://ID@HOST:PORT")
    client.add_argument("--key", type=Path, required=True)
    client.add_argument("--sessions", type=int, default=1, help="fetch so often, print the last")
    client.add_argument("--timeout", type=float, default=5.0, help="seconds for one session")
    client.add_argument("--hex", action="store_true")
    client.add_argument("--deed", choices=DEEDS, help="do this to the server; fail unless it behaves")
    client.set_defaults(run=run_client)


def run_keygen(given: argparse.Namespace) -> None:
    print(save_key(given.file, os.urandom(32)))


def run_server(given: argparse.Namespace) -> None:
    known = definition.responses(given.definition.read_text()) if given.definition else {}
    host, _, port = given.listen.rpartition(":")
    secrets = [load_key(path) for path in given.key]
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    listen = (host.strip("[]"), int(port))
    with Server(secrets, known, chosen_manner(given), given.everyone, listen) as server:
        print(f"listening on {host}:{server.port}", flush=True)
        signal.sigwait({signal.SIGINT, signal.SIGTERM})
    print(json.dumps(server.outcomes))


def chosen_manner(given: argparse.Namespace) -> Manner:
    if given.cut is not None:
        return trick.cut(given.cut)
    if given.respond is not None:
        return trick.respond(given.respond)
    return TRICKS[given.trick].manner if given.trick else honest


def run_client(given: argparse.Namespace) -> None:
    where, c = parse_address(given.server), load_key(given.key)
    if given.deed:
        run_deed(DEEDS[given.deed], where, c, given.timeout)
        return
    for _ in range(given.sessions):
        with Client(where, c, given.timeout) as client:
            client.hello()
            shard = client.get()
            client.bye()
    print(client.response.hex() if given.hex else json.dumps(shard, default=str, ensure_ascii=False))


def run_deed(deed: Deed, where: Address, c: bytes, seconds: float) -> None:
    outcome = attempt(deed.act, where, c, seconds)
    names = {kind.value: kind.name for kind in Kind}
    print(json.dumps({"answers": [names.get(kind, kind) for kind in outcome.answers], "end": outcome.end}))
    if not deed.is_met_by(outcome):
        raise fault.Fault("an honest server does otherwise")


def main() -> int:
    given = parser().parse_args()
    try:
        given.run(given)
    except fault.Fault as problem:
        print(f"peer: {problem}", file=sys.stderr)
        return EXITS.get(type(problem), 76)
    return 0


sys.exit(main())
