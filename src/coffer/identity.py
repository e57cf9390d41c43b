"""Who is who: a public key as text, the id, and the key file that holds its secret half, with its passphrase.

Not here: the secret key itself, which the core reads from the file into locked memory and writes back.

Rule 1: an id is refused in the order of docs/protocol.md, each reason in its own words.
Rule 2: a key file is used only when nobody but its owner, or root, could have read or replaced it.
"""

from __future__ import annotations

import os
import stat

from coffer._core import Keypair, blake, decode_base32
from coffer.errors import IdError, KeyFileError
from coffer.files import sync_directory

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

ID_LETTERS = 56
KEY_BYTES = 32
FIELD_PRIME = 2**255 - 19
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
LINKS_LIMIT = 40
FOLDER = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
PASSPHRASE_LIMIT_BYTES = 4096

# The canonical encodings of the points for which X25519 gives zero: https://cr.yp.to/ecdh.html#validate
LOW_ORDER = frozenset(
    number.to_bytes(KEY_BYTES, "little")
    for number in (
        0,
        1,
        325606250916557431795983626356110631294008115727848805560023387167927233504,
        39382357235489614581723060781553021112529911719440698176882885853963445705823,
        FIELD_PRIME - 1,
    )
)


def parse_id(text: str) -> bytes:
    """Return the public key, 32 bytes, that an id names. Raises IdError with the first reason that applies."""
    letters = text.replace("-", "").replace(" ", "")
    raw = decode_base32(letters)
    if len(letters) != ID_LETTERS:
        raise IdError(f"an id has {ID_LETTERS} letters, this has {len(letters)}")
    public = raw[:KEY_BYTES]
    if blake(3, b"id", public) != raw[KEY_BYTES:]:
        raise IdError("wrong checksum: a letter of the id is mistyped")
    if int.from_bytes(public, "little") >= FIELD_PRIME:
        raise IdError("a non-canonical key: no coffer program makes such an id")
    if public in LOW_ORDER:
        raise IdError("a low-order key: no coffer program makes such an id")
    return public


def format_id(public: bytes) -> str:
    """Return the id of a public key: 14 groups of four letters, joined by "-"."""
    bits = int.from_bytes(public + blake(3, b"id", public), "big")
    letters = "".join(ALPHABET[bits >> shift & 31] for shift in range(5 * (ID_LETTERS - 1), -1, -5))
    return "-".join(letters[at : at + 4] for at in range(0, ID_LETTERS, 4))


def load_keypair(path: str, ask: Callable[[], bytes] | None = None) -> Keypair:
    """Return the keypair in a key file. Raises KeyFileError.

    ``ask`` is called for the passphrase when the key is locked with one. A symbolic link is followed only
    when each of its steps is owned by the reader or root (protocol.md, Key file).
    """
    try:
        fd, folder = _open(path)
    except FileNotFoundError as error:
        raise KeyFileError(f"{path}: {error.strerror}", "coffer-companion keygen -o FILE makes a key file") from None
    except OSError as error:
        raise KeyFileError(f"{path}: {error.strerror}") from None
    try:
        _check_status(path, os.fstat(fd), folder)
        return Keypair.read(fd, path, ask)
    finally:
        os.close(fd)


def _open(path: str) -> tuple[int, os.stat_result]:
    """Open where ``path`` leads; return the descriptor, and which folder it lies in.

    Every symbolic link on the way is followed by hand, its owner checked. Each step is taken from the folder that the
    last one opened, so nobody can put a link in the place of a step that has been looked at.
    """
    here = "/" if path.startswith("/") else os.getcwd()
    folder = os.open(here, FOLDER)
    left, links = _steps(path), 0
    try:
        while left:
            step = left.pop()
            there = os.path.normpath(os.path.join(here, step))
            target = _read_link(path, there, step, folder)
            if target is None and not left:
                return os.open(step, FILE, dir_fd=folder), os.fstat(folder)
            if target is None:
                here, folder = there, _enter(step, folder)
                continue
            links += 1
            if links > LINKS_LIMIT:
                raise KeyFileError(f"{path}: too many symbolic links")
            if target.startswith("/"):
                here, folder = "/", _enter("/", folder)
            left += _steps(target)
        return os.open(".", FILE, dir_fd=folder), os.fstat(folder)
    finally:
        os.close(folder)


def _steps(path: str) -> list[str]:
    """The names in a path, the first one last."""
    return [name for name in path.split("/") if name not in ("", ".")][::-1]


def _enter(step: str, folder: int) -> int:
    inside = os.open(step, FOLDER, dir_fd=folder)
    os.close(folder)
    return inside


def _read_link(path: str, there: str, step: str, folder: int) -> str | None:
    """Return where a symbolic link leads; None if it is none. Raises KeyFileError for a stranger's link."""
    fd = os.open(step, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    try:
        status = os.fstat(fd)
        if not stat.S_ISLNK(status.st_mode):
            return None
        if not _trusted(status):
            raise KeyFileError(f"{path}: {there} is a symbolic link of user {status.st_uid}, neither you nor root")
        return os.readlink("", dir_fd=fd)
    finally:
        os.close(fd)


def _trusted(status: os.stat_result) -> bool:
    return status.st_uid in (os.geteuid(), 0)


def _check_status(path: str, status: os.stat_result, folder: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise KeyFileError(f"{path}: not a regular file")
    if not _trusted(status):
        raise KeyFileError(
            f"{path}: owned by user {status.st_uid}, who is neither you nor root",
            f"chown {os.geteuid()} {path}",
        )
    mode = stat.S_IMODE(status.st_mode)
    if mode & (0o037 if _from_systemd(status, folder) else 0o077):
        raise KeyFileError(f"{path}: readable by others (mode {mode:04o})", f"chmod 0600 {path}")


def _from_systemd(status: os.stat_result, folder: os.stat_result) -> bool:
    """Whether systemd delivered the file: root's own, directly in this service's credentials directory."""
    directory = os.environ.get("CREDENTIALS_DIRECTORY")
    try:
        return bool(directory) and not status.st_uid and os.path.samestat(folder, os.stat(str(directory)))
    except OSError:
        return False


def load_passphrase(path: str) -> bytes:
    """Return what a file, or a pipe, holds, 1 to 4,096 bytes, without the end of its line. Raises KeyFileError."""
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_CLOEXEC), "rb") as file:
            status = os.fstat(file.fileno())
            if stat.S_ISREG(status.st_mode) and status.st_mode & 0o077:
                raise KeyFileError(f"{path}: a passphrase that others can read", f"chmod 0600 {path}")
            passphrase = file.read(PASSPHRASE_LIMIT_BYTES + 1)
    except OSError as error:
        raise KeyFileError(f"{path}: {error.strerror}") from None
    passphrase = passphrase.removesuffix(b"\n").removesuffix(b"\r")
    if not 1 <= len(passphrase) <= PASSPHRASE_LIMIT_BYTES:
        raise KeyFileError(f"{path}: a passphrase has 1 to {PASSPHRASE_LIMIT_BYTES:,} bytes")
    return passphrase


def save_keypair(path: str, keypair: Keypair, passphrase: bytes | None = None) -> None:
    """Write a new key file, mode 0600, safe on disk. Raises KeyFileError, above all if the path is taken."""
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except FileExistsError:
        raise KeyFileError(
            f"{path}: there is a file already, and a key is never overwritten", "choose another name"
        ) from None
    except OSError as error:
        raise KeyFileError(f"{path}: {error.strerror}") from None
    try:
        _write(fd, keypair, passphrase)
        sync_directory(os.path.dirname(path) or ".")
    except OSError as error:
        os.unlink(path)
        raise KeyFileError(f"{path}: {error.strerror}") from None
    except MemoryError:
        os.unlink(path)
        raise KeyFileError(f"{path}: locking the key takes 256 MiB of memory, which there is not") from None
    except BaseException:
        os.unlink(path)
        raise


def _write(fd: int, keypair: Keypair, passphrase: bytes | None) -> None:
    try:
        os.fchmod(fd, 0o600)
        os.write(fd, f"# coffer key\n# id: {format_id(keypair.public)}\n".encode())
        keypair.write(fd, passphrase)
        os.fsync(fd)
    finally:
        os.close(fd)
