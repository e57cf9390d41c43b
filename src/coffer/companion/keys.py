"""Key files as the companion makes and uses them: ``keygen``, ``id``, and the key that a verb works with.

Not here: the format (``identity``, and the core, which alone sees a secret key).
"""

from __future__ import annotations

import os
from functools import cache

from coffer._core import Keypair
from coffer.companion.reading import check_writable
from coffer.companion.terminal import say
from coffer.errors import IdError, SettingsError
from coffer.identity import format_id, load_keypair, load_passphrase, parse_id, save_keypair
from coffer.prompt import PASSPHRASE_HINT, ask_hidden, obtain_passphrase

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace

KEY_VARIABLE = "COFFER_COMPANION_KEY"
KEY_NAME = "companion.key"


def keygen(options: Namespace) -> int:
    """Make a key file; its id alone goes to stdout."""
    check_writable(options.file, "-o")
    keypair = Keypair.generate()
    save_keypair(options.file, keypair, _new_passphrase(options))
    say(f"made {options.file} (mode 0600): keep it where it is used; others get only its id:")
    print(format_id(keypair.public))
    return 0


def show_id(options: Namespace) -> int:
    """Print the id of a key file."""
    print(format_id(load_key(options.file, options.passphrase_file).public))
    return 0


@cache
def load_key(path: str, passphrase_file: str | None) -> Keypair:
    """Return the keypair in a key file; a passphrase is read from its file, or asked for, once. Raises KeyFileError."""
    return load_keypair(path, lambda: obtain_passphrase(path, passphrase_file))


def load_companion_key(options: Namespace, beside: str) -> Keypair:
    """Return the companion's keypair: of ``--key``, of the environment, or of the folder that ``beside`` is in."""
    return load_key(find_companion_key(options, beside), options.passphrase_file)


def find_companion_key(options: Namespace, beside: str) -> str:
    """Return the path of the companion's key file. Raises SettingsError if nothing names it."""
    path: str = options.key or os.environ.get(KEY_VARIABLE) or _key_beside(beside)
    return path


def read_id(text: str, flag: str) -> bytes:
    """Return the public key that an argument names; ``flag`` says in errors which argument. Raises IdError."""
    try:
        return parse_id(text)
    except IdError as error:
        raise IdError(f"{flag}: {error}", _id_hint(text)) from None


def read_server_id(text: str, flag: str, keypair: Keypair) -> bytes:
    """Return the server's public key, as ``read_id``, unless it is the companion's own: no server has that one."""
    public = read_id(text, flag)
    if public == keypair.public:
        raise IdError(f"{flag}: the companion's own id", "coffer-companion id server.key prints the server's")
    return public


def _id_hint(text: str) -> str:
    if os.path.exists(text):
        return f"that is a file; its id is what this prints: coffer-companion id {text}"
    if "://" in text:
        return "give the id alone: what stands between coffer:// and @"
    return "coffer-companion id FILE prints the id of a key file"


def _key_beside(path: str) -> str:
    """Return companion.key beside a file or, as what is read from a pipe lies nowhere, in the current folder."""
    for found in (os.path.join(os.path.dirname(path), KEY_NAME), KEY_NAME):
        if os.path.exists(found):
            return found
    raise SettingsError("no companion key", f"name its file: --key FILE (or {KEY_VARIABLE})")


def _new_passphrase(options: Namespace) -> bytes | None:
    if options.passphrase_file is not None:
        return load_passphrase(options.passphrase_file)
    if not options.passphrase:
        return None
    typed = ask_hidden(f"new passphrase for {options.file}", PASSPHRASE_HINT)
    if not typed:
        raise SettingsError("an empty passphrase locks nothing")
    if ask_hidden("the same once more", PASSPHRASE_HINT) != typed:
        raise SettingsError("the two passphrases differ; no key was made")
    return typed.encode()
