"""``init``: a folder to begin in, with a definition, its keys, and the commands that come next.

Rule: a folder that has a key or a definition already is left as it is.
"""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass

from coffer import definition
from coffer._core import Keypair
from coffer.companion.git_files import add_lines
from coffer.companion.keys import KEY_NAME, read_id
from coffer.companion.reading import is_text
from coffer.companion.terminal import say
from coffer.errors import DefinitionError, OperatorError, SettingsError
from coffer.identity import format_id, save_keypair
from coffer.toml import format_key, format_literal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace

DEFINITION = "definition.toml"
SEALED = "definition.coffer"
IGNORED = ".gitignore"
DEFAULT_CLIENT = "web"

_IGNORES = f"""\
# Keys, and the definition in clear. {SEALED}, which is sealed, may be kept in git.
*.key
/{DEFINITION}
"""
_HEAD = """\
# Who there is, and below, in a table of its own, what each of them gets.
# Strings, numbers, booleans and dates. This file is in clear: keep it out of git, and seal it.
"""
_MADE_HERE = """\

Keys made here are for trying out: {names}. In production the machine that keeps a key
makes it (coffer-companion keygen -o FILE), and only ids travel: --server ID, --client NAME=ID.
"""
_SEAL = f"""\
# Write your values into {DEFINITION}, then seal it:
cd {{directory}}
coffer-companion seal {DEFINITION} --key {KEY_NAME} --server {{server}} -o {SEALED}

"""
_SERVE_HERE = f"""\
# Serve it:
coffer-server --key server.key --companion {{companion}} --definition {SEALED}

"""
_SERVE_THERE = f"""\
# On the server, with its own key file and a copy of {SEALED}:
coffer-server --key server.key --companion {{companion}} --definition {SEALED} --listen 0.0.0.0:26333

"""
_FETCH = """\
# {where}:
export COFFER_SERVER=coffer://{server}@{host}:26333 COFFER_KEY={key}
coffer-client run -- sh -c 'echo "$GREETING"'
"""


@dataclass(frozen=True)
class Party:
    """The companion, the server or a client: its name, its public key, and the keypair if that was made here."""

    name: str
    public: bytes
    keypair: Keypair | None = None

    @property
    def id(self) -> str:
        """Its public key as text."""
        return format_id(self.public)

    @property
    def file(self) -> str:
        """What its key file is called."""
        return f"{self.name}.key"


def init(options: Namespace) -> int:
    """Make the folder, and print the commands that come next."""
    companion, server = _party("companion"), _party("server", options.server, "--server")
    clients = [_client(text) for text in options.client or [DEFAULT_CLIENT]]
    _check_names(clients)
    text = _definition(clients)
    _check(text, server, companion)
    made = [party for party in (companion, server, *clients) if party.keypair]
    _make_folder(options.directory, text, made)
    _say_what_was_made(options.directory, made)
    print(_next(options.directory, companion, server, clients[0]), end="")
    return 0


def _party(name: str, id_text: str | None = None, flag: str = "") -> Party:
    if id_text is not None:
        return Party(name, read_id(id_text, flag))
    keypair = Keypair.generate()
    return Party(name, keypair.public, keypair)


def _client(text: str) -> Party:
    name, given, id_text = text.partition("=")
    return _party(name, id_text if given else None, f"--client {name}")


def _check_names(clients: list[Party]) -> None:
    taken = {"companion", "server", definition.CLIENTS}
    for client in clients:
        if not is_text(client.name):
            raise SettingsError("--client: a name that is not UTF-8", "give it another name")
        if client.name in taken:
            raise SettingsError(f"--client {client.name}: a name that is taken", "give each client a name of its own")
        taken.add(client.name)


def _check(text: str, server: Party, companion: Party) -> None:
    """Raise SettingsError for what no definition may say: it came from a flag, and the file is not there yet."""
    try:
        definition.parse(text, source=DEFINITION, server=server.public, companion=companion.public)
    except DefinitionError as error:
        first = error.findings[0]
        raise SettingsError(f"--client {first.key}: {first.reason}", first.hint or "give it another name") from None


def _definition(clients: list[Party]) -> str:
    ids = "".join(f"{format_key(client.name)} = {format_literal(client.id)}\n" for client in clients)
    # Each its own, or check would find one value in two clients.
    greetings = ["hello from coffer", *(f"hello from coffer to {client.name}" for client in clients[1:])]
    tables = "".join(
        f"\n[{format_key(client.name)}]\nGREETING = {format_literal(text)}\n"
        for client, text in zip(clients, greetings, strict=True)
    )
    return f"{_HEAD}\n[clients]\n{ids}{tables}"


def _make_folder(directory: str, text: str, made: list[Party]) -> None:
    try:
        os.makedirs(directory, mode=0o700, exist_ok=True)
        _check_free(directory)
        add_lines(os.path.join(directory, IGNORED), _IGNORES)
        _make_definition(os.path.join(directory, DEFINITION), text)
    except OSError as error:
        raise OperatorError(f"{error.filename}: {error.strerror}") from None
    for party in made:
        if party.keypair:
            save_keypair(os.path.join(directory, party.file), party.keypair)


def _check_free(directory: str) -> None:
    for found in sorted(os.listdir(directory)):
        if found == DEFINITION or found.endswith(".key"):
            raise OperatorError(
                f"{os.path.join(directory, found)}: there already; nothing was touched", "choose another folder"
            )


def _make_definition(path: str, text: str) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with open(fd, "w", encoding="utf-8") as file:
        file.write(text)


def _say_what_was_made(directory: str, made: list[Party]) -> None:
    for name in (IGNORED, DEFINITION, *(party.file for party in made)):
        say(f"made {os.path.join(directory, name)}")
    guests = [party.file for party in made[1:]]
    if guests:
        for line in _MADE_HERE.format(names=", ".join(guests)).split("\n"):
            say(line)


def _next(directory: str, companion: Party, server: Party, client: Party) -> str:
    serve = _SERVE_HERE if server.keypair else _SERVE_THERE
    here = server.keypair and client.keypair
    where = "In another terminal, in the same folder" if here else f"Where {client.name} runs, with its own key file"
    return (_SEAL + serve + _FETCH).format(
        directory=shlex.quote(directory),
        server=server.id,
        companion=companion.id,
        where=where,
        host="127.0.0.1" if here else "SERVER-HOST",
        key=client.file,
    )
