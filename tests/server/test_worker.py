"""A worker's words: what it adds to a fault, so that whoever reads the log knows where to look."""

from __future__ import annotations

import pytest

from coffer._core import Box, Keypair
from coffer.server.worker import CAUSES, Conversation, _explain
from forging import hello, inner_nonce
from serving import Serving

C, E, STRANGER = (Keypair.generate() for _ in range(3))
SERVING = Serving()
S = SERVING.public
FAILING = {
    "the outer box": (hello(STRANGER.public, E, C), "the client has another server's id, or speaks something else"),
    "the inner box": (
        hello(S, E, C, inner=Box(STRANGER, S).seal(C.public, inner_nonce(E.public, S, C.public))),
        "the client does not hold the key it names",
    ),
}


def fault(said: bytes) -> tuple[Conversation, str]:
    session = Conversation(SERVING.responder, SERVING.find)
    assert session.receive(said) == b""
    return session, str(session.fault)


@pytest.mark.parametrize("box", FAILING)
def test_a_hello_whose_box_does_not_open_is_explained(box: str) -> None:
    said, cause = FAILING[box]
    session, why = fault(said)
    assert _explain(why, session) == f"Hello: {box} does not open ({cause})"


def test_every_cause_belongs_to_a_sentence_that_the_core_says() -> None:
    """Or a sentence that is put in other words would lose its cause, and nobody would notice."""
    assert {fault(said)[1] for said, _ in FAILING.values()} == set(CAUSES)
