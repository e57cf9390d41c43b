"""``rotate client`` and ``rotate server``: another key, without a moment in which nobody is served.

Rule: what comes next is printed as commands, for half of a rotation is done on other machines.
"""

from __future__ import annotations

import shlex

from coffer.companion.keys import read_id, read_server_id
from coffer.companion.sealed import Sealed, load
from coffer.companion.terminal import say
from coffer.ending import escape
from coffer.errors import SettingsError
from coffer.identity import format_id, parse_id
from coffer.program import counted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace

    from coffer.companion.document import Document

_CLIENT_BEGUN = """\
Next:
1. Bring {file} to the server; there: coffer-server reload
2. Where {client} runs, put the new key file in place of the old one, and restart it. To look first:
     coffer-client ping
3. When nothing uses the old key any more:
     coffer-companion rotate client {file} {client} --finish
"""
_CLIENT_FINISHED = """\
Next:
1. Bring {file} to the server; there: coffer-server reload
2. The old key opens nothing any more; delete it.
"""
_SERVER = """\
Next, in this order:
1. Let the server take both keys, the new one first, and restart it:
     coffer-server --key NEW.key --key OLD.key ...
2. Bring {file} to it; there: coffer-server reload
3. Give every client both ids, the new one first:
     COFFER_SERVER=coffer://{new}@HOST,coffer://{old}@HOST
4. When all have them, take the old id from the clients, and the old key from the server.
"""


def rotate_client(options: Namespace) -> int:
    """Give a client another id beside its own; with --finish, take the old one away."""
    sealed = load(options)
    document = sealed.document()
    document.check_client(options.name)
    old = _old_id(options, document) if options.finish else None
    if options.id:
        _add(document, options.name, options.id)
    elif not options.finish:
        raise SettingsError("neither begun nor finished", "--id ID begins a rotation, and --finish ends it")
    if old:
        document.drop_id(options.name, old)
    text = document.format()
    ids = document.ids(options.name)
    _seal(options, sealed, text)
    say(f"{options.name} has {counted(len(ids), 'id')} now: {', '.join(ids)}")
    steps = _CLIENT_FINISHED if options.finish else _CLIENT_BEGUN
    print(steps.format(file=escape(shlex.quote(options.file)), client=options.name), end="")
    return 0


def rotate_server(options: Namespace) -> int:
    """Seal the definition for another key of the server."""
    sealed = load(options)
    new, old = read_server_id(options.id, "--id", sealed.sealer.keypair), sealed.envelope.server
    if new == old:
        raise SettingsError(f"{options.file}: sealed for this server already")
    _seal(options, sealed, sealed.text, new)
    print(_SERVER.format(file=escape(options.file), new=format_id(new), old=format_id(old)), end="")
    return 0


def _add(document: Document, client: str, id_text: str) -> None:
    new = read_id(id_text, "--id")
    if new in map(parse_id, document.ids(client)):
        raise SettingsError(f"{client} has this id already", "--id takes the id of the new key")
    document.add_id(client, format_id(new))


def _old_id(options: Namespace, document: Document) -> str:
    """Return the id that goes, as it is written: the one of --old, or the only one that it can be."""
    ids = document.ids(options.name)
    if options.old:
        wanted = read_id(options.old, "--old")
        ids = [each for each in ids if parse_id(each) == wanted]
        if not ids:
            raise SettingsError(
                f"{options.name} has no such id", f"coffer-companion client list {options.file} shows its ids"
            )
    elif len(ids) > (1 if options.id else 2):
        raise SettingsError(f"{options.name} has {len(ids)} ids: which one goes?", "--old ID")
    if len(document.ids(options.name)) == 1 and not options.id:
        raise SettingsError(f"{options.name} has one id only", "--id ID begins a rotation")
    return ids[0]


def _seal(options: Namespace, sealed: Sealed, text: str, server: bytes | None = None) -> None:
    if not options.dry_run:
        sealed.replace(text, server=server)
        return
    sealed.sealer.check(text, options.file)
    say(f"dry run: {options.file} is as it was; otherwise it would be like this:")
