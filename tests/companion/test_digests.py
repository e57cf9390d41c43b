"""Values as short hashes: equal ones look equal, and nothing else can be told from them."""

from __future__ import annotations

from coffer._core import Keypair
from coffer.companion.digests import Digests


def test_digests_are_the_same_for_one_companion_and_others_for_another() -> None:
    keypair = Keypair.generate()
    one, two, other = Digests(keypair), Digests(keypair), Digests(Keypair.generate())
    assert one.of("secret") == two.of("secret") != other.of("secret")
    assert len({one.of(value) for value in ("1", 1, True, 1.0, "true", "secret")}) == 6
    assert Digests(None).of("secret") != Digests(None).of("secret")
