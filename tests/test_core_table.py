"""A table gives each id its own shard, sealed, and no malformed one leads the core outside of it."""

from __future__ import annotations

import os
import signal
import struct
from collections.abc import Iterator

import pytest

from coffer._core import ClientChannel, Keypair, Locker, Responder, ServerChannel, ShardHandle, Table, TableWriter
from coffer.errors import OpenError
from coffer.message import Kind
from forging import flip
from serving import make_table, write_table

LOCKER = Locker()
HEAD = struct.Struct("=16s16s16sQQQQQQ")
FIELDS = ("magic", "hash_key", "salt", "serial", "slots", "ids", "shards", "names_bytes", "blobs_bytes")
SHARD_ROW = struct.Struct("=QQ16sII")
ID_ROW = struct.Struct("=32sI")
HOSTILE = (0, 1, 2, 3, 7, 8, 0xFFFF, 2**31, 2**32 - 1, 2**32, 2**33, 2**62, 2**63, 2**64 - 1)


def id_of(number: int) -> bytes:
    return number.to_bytes(32, "big")


SHARDS = {"web": ([id_of(1), id_of(2)], b"the web's shard"), "db": ([id_of(3)], b"the database's")}


class Line:
    """A session that has got as far as Link, through which handles are sealed and opened."""

    def __init__(self) -> None:
        server = Keypair.generate()
        self._client = ClientChannel(Keypair.generate(), server.public)
        self._server: ServerChannel = Responder((server,)).open_hello(self._client.hello[3:])
        self._client.open_answer(Kind.LINK, self._server.answer(Kind.LINK)[3:])

    def carry(self, handle: ShardHandle) -> bytes:
        return self._client.open(Kind.OK_GET, self._server.seal_shard(handle)[3:])


LINE = Line()


def carry(table: Table, id: bytes) -> bytes | None:
    handle = table.find(id)
    return None if handle is None else LINE.carry(handle)


def written(shards: dict[str, tuple[list[bytes], bytes]] = SHARDS) -> bytes:  # type: ignore[assignment]
    fd = write_table(LOCKER, shards)  # type: ignore[arg-type]
    try:
        return os.pread(fd, 1 << 24, 0)
    finally:
        os.close(fd)


def mapped(data: bytes, locker: Locker = LOCKER) -> Table:
    fd = os.memfd_create("table")
    try:
        os.write(fd, data)
        return Table(fd, locker)
    finally:
        os.close(fd)


# what it is for


def test_each_id_finds_its_own_shard_and_no_other() -> None:
    table = make_table(LOCKER, SHARDS, serial=7)
    assert (table.serial, table.ids, len(table)) == (7, 3, 2)
    for name, (ids, response) in SHARDS.items():
        for id in ids:
            handle = table.find(id)
            assert handle is not None and handle.name == name
            assert LINE.carry(handle) == response
    assert table.find(id_of(4)) is None


def test_ten_thousand_ids_are_all_found() -> None:
    shards = {f"client-{number}": ([os.urandom(32)], b"%d" % number) for number in range(10_000)}
    table = make_table(LOCKER, shards)
    assert len(table) == table.ids == 10_000
    for name, (ids, response) in shards.items():
        handle = table.find(ids[0])
        assert handle is not None and handle.name == name and LINE.carry(handle) == response
    assert not any(table.find(os.urandom(32)) for _ in range(1000))


def test_no_byte_of_a_shard_stands_in_a_table() -> None:
    response = os.urandom(1000)
    data = written({"web": ([id_of(1)], response)})
    assert not any(response[at : at + 8] in data for at in range(992))
    assert written({"web": ([id_of(1)], response)})[-1016:] != data[-1016:]


def test_an_empty_table_knows_nobody() -> None:
    table = make_table(LOCKER, {})
    assert (len(table), table.ids, table.find(id_of(1))) == (0, 0, None)


@pytest.mark.parametrize("size", [0, 1, 65_279])
def test_a_shard_has_up_to_65_279_bytes(size: int) -> None:
    assert carry(make_table(LOCKER, {"web": ([id_of(1)], bytes(size))}), id_of(1)) == bytes(size)


def test_a_handle_keeps_its_table() -> None:
    table = make_table(LOCKER, SHARDS)
    handle = table.find(id_of(3))
    del table
    assert handle is not None and handle.name == "db" and LINE.carry(handle) == b"the database's"


def test_a_table_tells_which_ids_came_went_and_changed() -> None:
    old = make_table(LOCKER, {"a": ([id_of(1), id_of(2)], b"x"), "b": ([id_of(3)], b"y"), "c": ([id_of(4)], b"z")})
    new = make_table(LOCKER, {"b": ([id_of(3)], b"y"), "a": ([id_of(1), id_of(5)], b"X"), "d": ([id_of(4)], b"z")})
    assert new.changes(old) == (1, 1, 1)
    assert old.changes(new) == (1, 1, 1)
    assert new.changes(new) == (0, 0, 0)
    assert new.changes(make_table(LOCKER, {})) == (4, 0, 0)
    assert make_table(LOCKER, {}).changes(new) == (0, 4, 0)


def test_a_shard_opens_under_the_locker_that_sealed_it_only() -> None:
    handle = mapped(written(), Locker()).find(id_of(1))
    assert handle is not None
    with pytest.raises(ValueError, match=r"^the table was not sealed under this locker$"):
        LINE.carry(handle)


def test_an_id_stands_in_a_table_once() -> None:
    for shards in ({"a": ([id_of(1), id_of(1)], b"")}, {"a": ([id_of(1)], b""), "b": ([id_of(1)], b"")}):
        with pytest.raises(ValueError, match=r"^an id stands in a table once$"):
            make_table(LOCKER, shards)


def test_what_no_table_can_hold_is_our_own_mistake() -> None:
    writer = TableWriter(LOCKER, 1)
    with pytest.raises(ValueError, match=r"^a shard has at most 65,279 bytes, a table at most 2\^32 - 1 shards$"):
        writer.add("web", [id_of(1)], bytes(65_280))
    for id in (b"", bytes(31), bytes(33)):
        with pytest.raises(ValueError, match=r"^an id has 32 bytes$"):
            writer.add("web", [id], b"")
        with pytest.raises(ValueError, match=r"^an id has 32 bytes$"):
            make_table(LOCKER, {}).find(id)
    with pytest.raises(UnicodeEncodeError):
        writer.add("wéb", [id_of(1)], b"")
    for serial in (-1, 2**64):
        with pytest.raises(OverflowError):
            TableWriter(LOCKER, serial)


def test_what_cannot_be_mapped_or_written_is_an_error_of_the_system() -> None:
    with pytest.raises(OSError, match=r"Bad file descriptor"):
        Table(-1, LOCKER)
    reader, writer = os.pipe()
    os.close(writer)
    for fd in (reader, os.open("/", os.O_RDONLY)):
        with pytest.raises((OSError, ValueError)):
            Table(fd, LOCKER)
        with pytest.raises(OSError):
            TableWriter(LOCKER, 1).write(fd)
        os.close(fd)


# what somebody else wrote


@pytest.fixture(autouse=True)
def no_endless_lookup() -> Iterator[None]:
    """End the whole run after half a minute: Python cannot interrupt a lookup that goes round for ever."""
    signal.alarm(30)
    yield
    signal.alarm(0)


def use(data: bytes) -> list[bytes]:
    """Do everything that can be done with a table; return the shards that came out of it."""
    try:
        table = mapped(data)
    except ValueError as error:
        assert str(error) == "not a table"
        return []
    assert table.serial >= 0 and table.ids >= 0 and len(table) >= 0
    good, shards = make_table(LOCKER, SHARDS), []
    for act in (lambda: table.changes(good), lambda: good.changes(table)):
        _tolerate(act)
    for id in (id_of(1), id_of(2), id_of(3), id_of(4)):
        _tolerate(lambda id=id: _name(table, id))
        shards += _tolerate(lambda id=id: [carry(table, id)])
    return [shard for shard in shards if shard is not None]


def _name(table: Table, id: bytes) -> list[str]:
    handle = table.find(id)
    return [handle.name] if handle else []


def _tolerate(act: object) -> list[bytes | None]:
    try:
        done = act()  # type: ignore[operator]
    except (ValueError, OpenError):
        return []
    return done if isinstance(done, list) else []


RESPONSES = {response for _, response in SHARDS.values()}


def test_a_table_that_nobody_touched_gives_all_its_shards() -> None:
    """Or the tests below would prove nothing."""
    assert use(written()) == [b"the web's shard", b"the web's shard", b"the database's"]


@pytest.mark.parametrize("field", FIELDS[3:])
@pytest.mark.parametrize("value", HOSTILE)
def test_a_hostile_header_leads_nowhere(field: str, value: int) -> None:
    data = written()
    head = dict(zip(FIELDS, HEAD.unpack_from(data), strict=True))
    head[field] = value
    assert set(use(HEAD.pack(*head.values()) + data[HEAD.size :])) <= RESPONSES


def test_a_header_that_adds_up_and_lies_leads_nowhere() -> None:
    """The sum is right, so only the bounds of each part are left to stop it."""
    data = written()
    head = dict(zip(FIELDS, HEAD.unpack_from(data), strict=True))
    for slots, ids, shards in ((1, 0, 0), (4, 3, 0), (8, 0, 9), (2, 1, 1), (64, 63, 1), (16, 3, 2)):
        table = slots * 4 + ids * ID_ROW.size + shards * SHARD_ROW.size
        for filling in (0, 1, 3, 0xFFFFFFFF):
            head |= {"slots": slots, "ids": ids, "shards": shards, "names_bytes": 5, "blobs_bytes": 7}
            assert use(HEAD.pack(*head.values()) + struct.pack("=I", filling) * (table // 4) + bytes(12)) == []


def test_hostile_rows_lead_nowhere() -> None:
    data = written()
    rows = HEAD.size + 2 * SHARD_ROW.size + 3 * ID_ROW.size
    for at in range(HEAD.size, rows + 8 * 4, 4):
        for value in HOSTILE:
            altered = data[:at] + struct.pack("=I", value & 0xFFFFFFFF) + data[at + 4 :]
            assert set(use(altered)) <= RESPONSES
    for at in (HEAD.size, HEAD.size + 8, HEAD.size + SHARD_ROW.size, HEAD.size + SHARD_ROW.size + 8):
        for value in HOSTILE:
            assert set(use(data[:at] + struct.pack("=Q", value) + data[at + 8 :])) <= RESPONSES


def test_a_table_with_any_bit_flipped_gives_a_whole_shard_or_none() -> None:
    data = written()
    for bit in range(8 * len(data)):
        assert set(use(flip(data, bit))) <= RESPONSES


def test_a_table_cut_anywhere_or_longer_is_none() -> None:
    data = written()
    for length in range(len(data)):
        with pytest.raises(ValueError, match=r"^not a table$"):
            mapped(data[:length])
    with pytest.raises(ValueError, match=r"^not a table$"):
        mapped(data + b"\0")


def test_slots_that_are_all_taken_end_a_lookup() -> None:
    data = written()
    slots = HEAD.size + 2 * SHARD_ROW.size + 3 * ID_ROW.size
    for number in (1, 3, 4, 0xFFFFFFFF):
        table = mapped(data[:slots] + struct.pack("=I", number) * 8 + data[slots + 32 :])
        assert table.find(id_of(9)) is None
