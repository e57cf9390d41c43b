"""The C reading of the protocol against the vectors, byte for byte."""

import json
import subprocess
from pathlib import Path

import pytest

VECTORS = json.loads((Path(__file__).parents[2] / "tests" / "vectors" / "wire.json").read_text())


def make_frames(programs: Path, **changed: str) -> dict[str, str]:
    texts = VECTORS["error texts"]
    given = {name: VECTORS["keys"][name] for name in ("c", "s", "e", "f", "R")} | {
        "body": VECTORS["response"]["cbor"],
        "hello-error": texts["Error after Hello"].encode().hex(),
        "get-error": texts["Error after Get"].encode().hex(),
    }
    lines = "".join(f"{name} {value}\n" for name, value in (given | changed).items())
    made = subprocess.run([programs / "vectors"], input=lines, capture_output=True, text=True, check=True)
    return dict(line.split() for line in made.stdout.splitlines())


@pytest.mark.parametrize("name", VECTORS["frames"])
def test_every_frame_is_that_of_the_vectors(programs: Path, name: str) -> None:
    made = make_frames(programs)
    assert len(made) == len(VECTORS["frames"])
    assert made[name.replace(" a", " A").replace(" ", "")] == VECTORS["frames"][name]


def test_a_body_of_every_length_around_a_block_is_padded_to_the_next_one(programs: Path) -> None:
    for size, blocks in ((1, 1), (255, 1), (256, 2), (257, 2), (65_279, 255)):
        frame = bytes.fromhex(make_frames(programs, body="00" * size)["OkGet"])
        assert len(frame) == 3 + 16 + 256 * blocks
