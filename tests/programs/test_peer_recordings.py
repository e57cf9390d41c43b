"""Frames of real sessions, recorded between coffer-client and coffer-server: played again they earn nothing.

Not here: that no two recordings have anything in common (tests/faults/test_recordings.py).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Outcome, Run
from peer_house import PeerHouse
from relay import Alter, Relay, faithful, put, reflect

from peer import deed, trick, wire
from peer.boxes import public
from peer.deed import attempt
from peer.server import Server
from peer.wire import Kind

HONEST = [Kind.HELLO, Kind.LINK, Kind.GET, Kind.OK_GET, Kind.BYE]
LINKED = deed.Outcome((Kind.LINK,), "reset")

Ask = Callable[..., Outcome]


@pytest.fixture
def ask(run: Run, peer_house: PeerHouse) -> Ask:
    """Run coffer-client as ``web`` against a server on this port: ``ask(port, "get")``."""

    def ask(port: int, verb: str, *arguments: str) -> Outcome:
        settings = peer_house.settings()
        settings["COFFER_SERVER"] = settings["COFFER_SERVER"].replace(f":{peer_house.port}", f":{port}")
        return run("coffer-client", verb, "--retries", "0", *arguments, env=settings)

    return ask


@pytest.fixture
def recorded(ask: Ask, peer_house: PeerHouse) -> list[bytes]:
    """The frames of one honest session."""
    with Relay(peer_house.port) as relay:
        assert ask(relay.port, "get", "PORT") == (0, "5432", "")
    return relay.frames


def outcome_of(house: PeerHouse, act: deed.Act) -> deed.Outcome:
    return attempt(act, house.where, house.secrets["web"], seconds=20)


def test_a_recording_shows_kinds_and_sizes_and_no_key_of_anybody(recorded: list[bytes], peer_house: PeerHouse) -> None:
    assert [(frame[2], len(frame) - 3) for frame in recorded] == list(zip(HONEST, (128, 72, 16, 272, 48), strict=True))
    whole = b"".join(recorded)
    assert not any(public(secret) in whole or secret in whole for secret in peer_house.secrets.values())


@pytest.mark.parametrize("kind", HONEST, ids=lambda kind: kind.name)
def test_a_recorded_frame_earns_a_link_at_the_most(kind: Kind, recorded: list[bytes], peer_house: PeerHouse) -> None:
    frame = recorded[HONEST.index(kind)]
    _, _, get, _, bye = recorded
    first = deed.Outcome((Kind.LINK,) if kind is Kind.HELLO else (), "reset")
    for rest in ([get, bye], [bye], [get, get], [frame]):
        assert outcome_of(peer_house, deed.whole_replay([frame, *rest])) == first
    assert outcome_of(peer_house, deed.after_link(frame)) == LINKED
    last = deed.Outcome((Kind.LINK, Kind.OK_GET), "reset")
    assert outcome_of(peer_house, deed.after_ok_get(frame)) == last


def test_a_recorded_hello_earns_a_link_that_the_recorded_get_does_not_fit(
    recorded: list[bytes], peer_house: PeerHouse
) -> None:
    """Waiting for each answer, as a client does that knows no better."""
    hello, link, get, _, bye = recorded

    def act(client: deed.Client) -> None:
        client.stream.send(hello)
        assert client.stream.frame(wire.REPLIES) != link
        client.stream.send(get + bye)

    assert outcome_of(peer_house, act) == LINKED


@pytest.mark.parametrize("say", [trick.say_to_hello, trick.say_to_get], ids=["to Hello", "to Get"])
def test_recorded_answers_start_no_program(
    say: Callable[[bytes], Callable[..., None]],
    recorded: list[bytes],
    ask: Ask,
    peer_house: PeerHouse,
    tmp_path: Path,
) -> None:
    """Even from the server whose answers they were."""
    _, link, _, ok_get, _ = recorded
    for data in (link, ok_get, link + ok_get):
        with Server([peer_house.secrets["server"]], {}, say(data), everyone=b"\x80") as server:
            assert ask(server.port, "get").code == 76
            assert ask(server.port, "run", "--", "touch", "started").code == 125
    assert not (tmp_path / "started").exists()


def assert_nothing_gained(alter: Alter, ask: Ask, house: PeerHouse, folder: Path) -> None:
    """With this on the path, the client errs and starts nothing."""
    for verb, command, code in ("get", (), 76), ("run", ("--", "touch", "started"), 125):
        with Relay(house.port, alter) as relay:
            outcome = ask(relay.port, verb, *command)
        assert (outcome.code, outcome.out, len(outcome.err.splitlines())) == (code, "", 2), outcome
    assert not (folder / "started").exists()


@pytest.mark.parametrize("kind", HONEST[:-1], ids=lambda kind: kind.name)
def test_a_frame_of_another_session_in_the_place_of_one_starts_no_program(
    kind: Kind, recorded: list[bytes], ask: Ask, peer_house: PeerHouse, tmp_path: Path
) -> None:
    assert_nothing_gained(put({kind: recorded[HONEST.index(kind)]}), ask, peer_house, tmp_path)


def test_the_answers_of_another_session_together_start_no_program(
    recorded: list[bytes], ask: Ask, peer_house: PeerHouse, tmp_path: Path
) -> None:
    for kinds in ([Kind.LINK, Kind.OK_GET], [Kind.HELLO, Kind.GET], HONEST):
        others = {kind: recorded[HONEST.index(kind)] for kind in kinds}
        assert_nothing_gained(put(others), ask, peer_house, tmp_path)


def test_a_bye_of_another_session_comes_too_late_to_matter(
    recorded: list[bytes], ask: Ask, peer_house: PeerHouse
) -> None:
    with Relay(peer_house.port, put({Kind.BYE: recorded[4]})) as relay:
        assert ask(relay.port, "get", "PORT") == (0, "5432", "")


@pytest.mark.parametrize("kind", [Kind.LINK, Kind.GET, Kind.OK_GET], ids=lambda kind: kind.name)
def test_a_frame_thrown_back_starts_no_program(kind: Kind, ask: Ask, peer_house: PeerHouse, tmp_path: Path) -> None:
    """In the place of Get the server has its own Link back; the client has its Hello or its Get back."""
    assert_nothing_gained(reflect(kind), ask, peer_house, tmp_path)


def test_somebody_on_the_path_who_changes_nothing_changes_nothing(
    ask: Ask, peer_house: PeerHouse, tmp_path: Path
) -> None:
    with Relay(peer_house.port, faithful) as relay:
        assert ask(relay.port, "run", "--", "touch", "started") == (0, "", "")
    assert (tmp_path / "started").exists()
