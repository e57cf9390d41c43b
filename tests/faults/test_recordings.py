"""What somebody who records every session keeps: lengths that say only the size, and nothing that comes twice."""

from collections import Counter
from pathlib import Path

from running import load

from coffer import message
from peer.client import Client

from .fleet import Fleet
from .serving import Server
from .sizes import sized

SESSIONS = sized(5000, 100_000)
SHARD_LENGTHS = {16 + 256 * blocks for blocks in range(1, 256)}


def allowed(kind: int) -> set[int]:
    """The content-lengths that docs/protocol.md gives this type in an honest session."""
    return {0x00: {128}, 0x01: {72}, 0x02: {16}, 0x03: SHARD_LENGTHS, 0x99: {48}}.get(kind, set())


def test_recorded_sessions_share_no_opening_and_show_no_key(fleet: Fleet, programs: Path) -> None:
    record = fleet.folder / "record"
    with Server(fleet) as server:
        clients = fleet.write_clients("dawn")
        done = load(programs, server.target, "--clients", clients, "--sessions", SESSIONS, "--record", record)
        server.check_sound()
    assert (done.exit_code, done.figures["failures"]) == (0, 0), done
    assert done.figures["record"] == {"lines": SESSIONS, "clear_keys": 0}
    openings, frames = Counter[str](), Counter[tuple[str, ...]]()
    with record.open() as lines:
        for line in lines:
            opening, *seen = line.split()
            openings[opening] += 1
            frames[tuple(seen)] += 1
    assert len(openings) == SESSIONS, [opening for opening, count in openings.items() if count > 1]
    assert {len(opening) for opening in openings} == {2 * (32 + 24)}
    check_frames(frames)


def check_frames(frames: Counter[tuple[str, ...]]) -> None:
    """Hello, Link, Get, OkGet, Bye: in this order, each in a length it may have, OkGet in one for all alike."""
    assert len(frames) == 1, frames
    for seen in frames:
        assert [each[0] for each in seen] == [">", "<", ">", "<", ">"]
        kinds = [int(each[1:3], 16) for each in seen]
        assert kinds == [getattr(message.Kind, name) for name in ("HELLO", "LINK", "GET", "OK_GET", "BYE")]
        assert all(int(each[4:]) in allowed(kind) for kind, each in zip(kinds, seen, strict=True)), seen


def test_an_opening_does_not_repeat_even_for_a_hello_that_is_played_again(fleet: Fleet) -> None:
    """Without R, a Hello and its Get could be replayed within an epoch."""
    with Server(fleet, "--failing-hellos-per-source", 0, workers=1) as server:
        answers = set()
        with Client(fleet.where(server.port), fleet.clients["client-0"]) as first:
            first.hello()
            hello = first.session.hello
        for _ in range(50):
            with Client(fleet.where(server.port), fleet.clients["client-0"], e=first.session.e) as again:
                again.hello()
                assert again.session.hello == hello
                answers.add(bytes(again.stream.received[3:59]))
        assert len(answers) == 50
