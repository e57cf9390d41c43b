"""The examples of contrib/container, as far as they can be told without an engine: what they start is coffer's."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from service import BIN

from coffer.client.arguments import parse
from coffer.server.cli import serve_parser

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "contrib" / "container"
DOCKERFILES = sorted(FOLDER.glob("*.Dockerfile"))


def words(path: Path, instruction: str) -> list[str]:
    (found,) = re.findall(rf"^{instruction} (\[.*\])$", path.read_text(), re.MULTILINE)
    return [str(word) for word in json.loads(found)]


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.name)
def test_an_image_starts_a_program_of_ours_as_a_user_without_rights(path: Path) -> None:
    program = Path(words(path, "ENTRYPOINT")[0]).name
    assert program.startswith("coffer-") and (BIN / program).exists()
    (user,) = re.findall(r"^USER (\d+)$", path.read_text(), re.MULTILINE)
    assert int(user) > 0


def test_the_server_takes_the_flags_that_its_image_and_the_compose_file_give() -> None:
    image = words(FOLDER / "server.Dockerfile", "CMD")
    (composed,) = re.findall(r"^ +command: (\[.*\])$", (FOLDER / "compose.yaml").read_text(), re.MULTILINE)
    for given in (image, json.loads(composed)):
        assert serve_parser().parse_args(given).key == ["/run/secrets/server.key"]


def test_the_client_takes_the_words_that_its_image_gives_and_leaves_it_the_program() -> None:
    path = FOLDER / "app.Dockerfile"
    program = words(path, "CMD")
    assert parse([*words(path, "ENTRYPOINT")[1:], *program]).command == program


@pytest.mark.parametrize("path", sorted(FOLDER.iterdir()), ids=lambda path: path.name)
def test_no_key_or_definition_is_copied_into_an_image(path: Path) -> None:
    copied = re.findall(r"^(?:COPY|ADD) (?!--from)(.*)$", path.read_text(), re.MULTILINE)
    assert all(line.startswith("dist/") for line in copied)
