"""docs/protocol.md says what the code does: its tables are parsed and compared, row by row."""

from __future__ import annotations

import functools
import re
import tomllib
from datetime import date, datetime, time
from pathlib import Path

import pytest

from coffer import codec, definition, message
from coffer._core import blake
from coffer.client import cache
from coffer.client.address import PORT
from coffer.envelope import BEGIN, END, HEADER_BYTES, MAGIC
from coffer.message import FROM_CLIENT, NAMES, SUCCESSORS
from coffer.protocol import CLIENT_STEPS, SERVER_STEPS
from coffer.server import deadlines
from known import VECTORS, key_text

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "docs" / "protocol.md").read_text(encoding="utf-8")
KINDS = {name: kind for kind, name in NAMES.items()}


@functools.cache
def section(title: str) -> str:
    """Return the text under a heading, up to the next one of any level."""
    found = re.findall(rf"^#+ {re.escape(title)}\n(.*?)(?=^#+ |\Z)", TEXT, re.MULTILINE | re.DOTALL)
    assert len(found) == 1, title
    return found[0]


def rows(title: str, columns: str) -> list[list[str]]:
    """Return the rows of the table whose head begins with these columns; ``\\|`` in a cell is a ``|``."""
    head, *found = re.findall(rf"^\| {re.escape(columns)} \|.*\n(?:\|.*\n)+", section(title), re.MULTILINE)[
        0
    ].splitlines()
    cells = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in found[1:]]
    assert cells and all(len(row) == head.count("|") - 1 for row in cells)
    return [[cell.replace("\\|", "|") for cell in row] for row in cells]


def code(cell: str) -> str:
    return cell.strip("`")


def names(cell: str) -> set[str]:
    return {name for name in re.split(r", ", cell) if name and name != "(closed)"}


# messages


def messages() -> dict[str, list[str]]:
    return {row[1]: row for row in rows("Frame", "type")}


def test_every_message_stands_in_the_table_with_its_type() -> None:
    assert {name: int(row[0], 16) for name, row in messages().items()} == KINDS


def test_every_message_goes_in_the_direction_of_the_table() -> None:
    for name, row in messages().items():
        assert row[3] == ("C -> S" if KINDS[name] in FROM_CLIENT else "S -> C")


def test_every_message_is_followed_by_those_of_the_table() -> None:
    for name, row in messages().items():
        assert {KINDS[each] for each in names(row[4])} == SUCCESSORS[KINDS[name]]
        assert (row[4] == "(closed)") == (SUCCESSORS[KINDS[name]] == frozenset())


def test_every_length_is_that_of_the_table() -> None:
    known = {name: row[5] for name, row in messages().items()}
    for name in ("Hello", "Link", "Get", "Bye", "KeyNotFound"):
        assert list(lengths(name)) == [int(known[name])]
    size, step, first, last = map(int, re.findall(r"\d+", known["OkGet"]))
    assert list(lengths("OkGet")) == [size + step * j for j in range(first, last + 1)]
    after_hello, after_get = map(int, re.findall(r"(\d+) after", known["Error"]))
    assert list(message.ERROR_TO_HELLO_LENGTHS) == [after_hello]
    assert list(message.ERROR_TO_GET_LENGTHS) == [after_get]


def lengths(name: str) -> range:
    tables = [*SERVER_STEPS.values(), *CLIENT_STEPS.values()]
    (found,) = {may_come[KINDS[name]] for may_come in tables if KINDS[name] in may_come}
    return found


def test_an_error_s_text_has_the_length_of_the_table() -> None:
    assert messages()["Error"][2] == f"UTF-8 text, 1 to {message.ERROR_LIMIT_BYTES} bytes"


def test_every_state_takes_what_the_table_says() -> None:
    table = {(end, state): {KINDS[each] for each in names(takes)} for end, state, takes in rows("States", "end")}
    for end, steps in (("server", SERVER_STEPS), ("client", CLIENT_STEPS)):
        assert {state: takes for (who, state), takes in table.items() if who == end} == {
            state: set(may_come) for state, may_come in steps.items()
        }


def test_the_texts_of_error_are_those_of_the_table() -> None:
    texts = {message.DRAINING, message.BUSY, message.UNAVAILABLE}
    assert {code(text).encode() for text, _ in rows("What a stranger learns: nothing", "text")} == texts
    assert f"has {['one', 'two', 'three'][len(texts) - 1]} causes only" in section("What a stranger learns: nothing")


# keys and labels


def test_every_key_of_the_vectors_stands_in_the_table() -> None:
    table = {name for row in rows("Keys", "name") for name in re.findall(r"`(\w)`", row[0])}
    assert table == set("CcSsKkEeFfR")


def test_every_label_that_the_code_hashes_with_stands_on_the_page() -> None:
    source = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "src").rglob("*.py"))
    used = set(re.findall(r'blake\(\d+, b"([\w-]+)"', source))
    core = (ROOT / "src" / "coffer" / "_core.pyx").read_text(encoding="utf-8")
    used |= set(re.findall(r'b"coffer/1:([\w-]+)(?:\\0)*"', core))
    assert used >= {"h-inner", "h-outer", "transcr", "keys", "id", "def-non"}
    assert used - INSIDE_ONE_PROCESS <= labels() | set(re.findall(r'blake\(\d+, "([\w-]+)"', TEXT))


# Keys of hashes that leave no process and stand in no file: another implementation has its own.
INSIDE_ONE_PROCESS = {"shard", "digests"}


def labels() -> set[str]:
    return {code(row[0]) for row in rows("Labels", "label")}


def test_every_label_of_the_page_is_used_as_it_says() -> None:
    source = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "src" / "coffer").rglob("*.py[x]*"))
    source += "".join(path.read_text(encoding="utf-8") for path in (ROOT / "src" / "coffer").rglob("*.py"))
    for label, size, *_ in rows("Labels", "label"):
        uses = re.findall(rf'blake\((\d+), b"{code(label)}"', source)
        assert set(uses) <= {size}
        assert uses or f'b"coffer/1:{code(label)}' in source
        assert re.search(rf'blake\({size}, "{code(label)}"|"coffer/1:{code(label)}"', TEXT)
        assert len(f"coffer/1:{code(label)}") <= 16 and len(blake(int(size), code(label).encode(), b"")) == int(size)


# time


WHAT = {
    "HELLO_SECONDS": ("Hello", "accept"),
    "GET_SECONDS": ("Get or Bye", "Link"),
    "WRITE_SECONDS": ("a written frame taken by the peer", "its writing"),
    "BYE_SECONDS": ("Bye", "OkGet"),
    "CLOSE_SECONDS": ("the client's close", "Bye, KeyNotFound or Error"),
    "SESSION_SECONDS": ("the whole session", "accept"),
    "EPOCH_SECONDS": ("the life of `F`", "its making"),
}


def test_every_deadline_is_that_of_the_table() -> None:
    table = {(what, since): float(seconds) for what, seconds, since in rows("Deadlines", "what")}
    assert {what: getattr(deadlines, name) for name, what in WHAT.items()} == table
    assert f"wiped {deadlines.EPOCH_SECONDS:.0f} s after it was made" in section("Keys")


# the coffer response


EXAMPLES = [(code(toml), code(cbor)) for toml, cbor in rows("Coffer response", "TOML | the value in CBOR")]


@pytest.mark.parametrize(("toml", "cbor"), EXAMPLES, ids=[toml for toml, _ in EXAMPLES])
def test_an_example_is_encoded_and_decoded_as_the_page_has_it(toml: str, cbor: str) -> None:
    response = bytes.fromhex("81a2636b6579616b6576616c7565" + cbor.replace(" ", ""))
    assert codec.encode(tomllib.loads(f"k = {toml}")) == response
    assert codec.encode(codec.decode(response)) == response


def test_every_kind_of_value_has_an_example_and_its_tag_is_the_code_s() -> None:
    kinds = {row[0]: row[1] for row in rows("Coffer response", "TOML | CBOR")}
    assert {type(value) for value in (tomllib.loads(f"k = {toml}")["k"] for toml, _ in EXAMPLES)} == {
        str, int, float, bool, datetime, date, time,
    }  # fmt: skip
    tags = {kind: int(found[0]) for kind, text in kinds.items() if (found := re.findall(r"tag (\d+)", text))}
    assert tags == {
        "offset date-time": codec.OFFSET_TAG,
        "local date": codec.DATE_TAG,
        "local date-time, local time": codec.LOCAL_TAG,
    }
    assert len(kinds) == 7


# numbers in the text


def test_every_limit_is_the_code_s() -> None:
    assert f"At most {message.SHARD_LIMIT_BYTES:,} bytes" in section("Coffer response")
    assert f"a shard over {message.SHARD_LIMIT_BYTES:,} bytes of CBOR" in words(section("Definition"))
    assert f"{definition.LIMIT_BYTES >> 20} MiB unless changed" in section("Definition")
    assert f"PORT {PORT} unless given" in section("Server address")
    assert f"Client names match `{definition._is_client_name.__self__.pattern}`" in words(section("Definition"))  # type: ignore[attr-defined]


def words(text: str) -> str:
    return " ".join(text.split())


def test_the_sealed_definition_is_laid_out_as_the_page_has_it() -> None:
    text = section("Sealed definition")
    assert f'header = "{MAGIC.decode()}" || serial u64 || K, 32 || S, 32 || salt, 24' in text
    assert int(re.findall(r"salt, 24 +(\d+)\n", text)[0]) == HEADER_BYTES == 8 + 8 + 32 + 32 + 24
    for line in (BEGIN, END):
        assert f"    {line.decode()}\n" in text


def test_a_key_line_is_as_the_page_has_it() -> None:
    prefix = key_text(bytes(32)).partition(b":")[0].decode()
    assert f"    {prefix}:<base64, RFC 4648 section 4 with padding, of the 32-byte secret key>" in section("Key file")


def test_a_locked_key_costs_what_the_page_says() -> None:
    core = (ROOT / "src" / "coffer" / "_core.pyx").read_text(encoding="utf-8")
    numbers = {name: int(number) for name, number in re.findall(r"^    (PW_\w+) = (\d+)$", core, re.MULTILINE)}
    text = words(section("With a passphrase"))
    assert f"writes {numbers['PW_PASSES']} passes over {numbers['PW_KIB']:,} KiB" in text
    assert f"takes 1 to {numbers['PW_PASSES_LIMIT']} passes over 8 to {numbers['PW_KIB_LIMIT']:,} KiB" in text
    assert f"salt, {numbers['PW_SALT']} || locked, 48" in text


def test_a_cache_is_laid_out_as_the_page_has_it() -> None:
    text = section("Client cache")
    assert f'header = "{cache.MAGIC.decode()}" || saved at u64 || S, 32 || C, 32 || salt, {cache.SALT_BYTES}' in text
    assert int(re.findall(r"salt, 24 +(\d+)\n", text)[0]) == cache.HEADER_BYTES
    assert cache.SKEW_SECONDS == 5 * 60 and "five minutes" in text


# the page itself


def test_every_vector_file_stands_in_the_table_of_vectors() -> None:
    table = {re.sub(r"\[(.*)\]\(.*\)", r"\1", row[0]) for row in rows("What the vectors hold", "file | holds")}
    assert table == {path.name for path in VECTORS.glob("*.json")} and len(table) >= 4


def test_every_link_of_the_page_leads_somewhere() -> None:
    links = re.findall(r"\]\(([^)]+)\)", TEXT)
    assert len(links) >= 5
    headings = {
        re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")
        for title in re.findall(r"^#+ (.*)$", TEXT, re.MULTILINE)
    }
    for link in links:
        if link.startswith("#"):
            assert link[1:] in headings
        elif not link.startswith("https://"):
            assert (ROOT / "docs" / link).exists(), link
