"""What lies in a process: every byte of every map, read from outside, and the core that gcore would keep.

A needle is looked for raw, in hexadecimal of either case and in base64 at each of its three alignments.
"""

import base64
import os
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

CHUNK_BYTES = 1 << 22
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
KEY_BYTES = 32
KERNEL_OWN = ("[vvar]", "[vvar_vclock]", "[vsyscall]")


class Find(NamedTuple):
    """A needle's name and form, and where it was."""

    needle: str
    form: str
    where: str


def forms(secret: bytes) -> Iterator[tuple[str, bytes]]:
    """Every way in which ``secret`` could stand in memory."""
    yield "raw", secret
    yield "hex", secret.hex().encode()
    yield "HEX", secret.hex().upper().encode()
    for lead in range(3):
        # The digits that its neighbours can't change: whole groups of six bits, from the first own one on.
        digits = base64.b64encode(bytes(lead) + secret)[(lead * 8 + 5) // 6 : (lead + len(secret)) * 8 // 6]
        yield f"base64+{lead}", digits


class Needles:
    """Secrets by name, each looked for in every form: one `bytes.find` a form is faster than any clever way."""

    def __init__(self, secrets: Mapping[str, bytes]) -> None:
        self._forms = [(name, kind, form) for name, secret in secrets.items() for kind, form in forms(secret)]
        self._longest = max(len(form) for _, _, form in self._forms)

    def find(self, data: bytes, where: str) -> Iterator[Find]:
        for name, kind, form in self._forms:
            if (at := data.find(form)) >= 0:
                yield Find(name, kind, f"{where}+{at:x}")

    def find_in_chunks(self, chunks: Iterable[tuple[int, bytes]], where: str) -> Iterator[Find]:
        """Look through consecutive chunks, across their borders too."""
        tail = b""
        for start, chunk in chunks:
            yield from self.find(tail + chunk, f"{where} {start - len(tail):x}")
            tail = (tail + chunk)[1 - self._longest :]


class Map(NamedTuple):
    start: int
    end: int
    access: str
    name: str


def maps(pid: int) -> list[Map]:
    found = []
    for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
        span, access, _, _, _, *name = line.split(maxsplit=5)
        start, end = (int(each, 16) for each in span.split("-"))
        found.append(Map(start, end, access, name[0] if name else ""))
    return found


def find_in_process(pid: int, needles: Needles) -> list[Find]:
    """Read all maps through /proc/PID/mem, those that the process itself may not read (guarded keys) as well."""
    found: list[Find] = []
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as mem:
        for part in maps(pid):
            where = f"{pid} {part.access} {part.name or 'anonymous'}"
            found += needles.find_in_chunks(_chunks(mem.fileno(), part), where)
    return found


def _chunks(mem: int, part: Map) -> Iterator[tuple[int, bytes]]:
    if part.name in KERNEL_OWN:
        return
    for at in range(part.start, part.end, CHUNK_BYTES):
        yield at, os.pread(mem, min(CHUNK_BYTES, part.end - at), at)


def guarded_keys(pid: int) -> dict[str, bytes]:
    """What lies at the end of each guarded page of libsodium's: secret keys, whoever's they are."""
    found = {}
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as mem:
        for part in maps(pid):
            if part.name or part.access.startswith("---") or part.end - part.start != PAGE_BYTES:
                continue
            last = os.pread(mem.fileno(), KEY_BYTES, part.end - KEY_BYTES)
            if len(set(last)) > KEY_BYTES // 2:
                found[f"guarded page {part.start:x} of {pid}"] = last
    return found


def dump_core(pid: int, folder: Path, *options: str) -> bytes:
    """Return the core file that gcore makes of a living process."""
    subprocess.run(["gcore", *options, "-o", folder / "core", str(pid)], check=True, capture_output=True)
    path = folder / f"core.{pid}"
    data = path.read_bytes()
    path.unlink()
    return data
