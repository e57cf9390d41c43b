"""Builds the core against the system's libsodium. Everything else about the package is in pyproject.toml."""

import os
import subprocess
import sys
import sysconfig
import tomllib
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup

HERE = Path(__file__).parent
PACKAGES = (
    "install a C compiler, pkg-config, Python's headers and libsodium's: "
    "Debian and Ubuntu: apt-get install gcc pkg-config python3-dev libsodium-dev; "
    "Fedora: dnf install gcc pkgconf-pkg-config python3-devel libsodium-devel; "
    "Alpine: apk add gcc musl-dev pkgconf python3-dev libsodium-dev; "
    "macOS: brew install pkgconf libsodium"
)


def stop(what: str) -> None:
    sys.exit(f"coffer cannot be built: {what}; {PACKAGES}.")


def pkg_config(*arguments: str) -> list[str]:
    try:
        done = subprocess.run(
            [os.environ.get("PKG_CONFIG", "pkg-config"), *arguments], capture_output=True, text=True
        )
    except OSError:
        stop("pkg-config is missing")
    if done.returncode:
        stop(f"libsodium {minimum} or later is missing")
    return done.stdout.split()


with (HERE / "vendor" / "libsodium.toml").open("rb") as file:
    libsodium = tomllib.load(file)
name, minimum = libsodium["pkg-config"], libsodium["minimum"]

if not (Path(sysconfig.get_path("include")) / "Python.h").exists():
    stop("Python.h is missing")
pkg_config(f"--atleast-version={minimum}", name)

core = Extension(
    "coffer._core",
    ["src/coffer/_core.pyx"],
    extra_compile_args=[*pkg_config("--cflags", name), *os.environ.get("COFFER_CFLAGS", "").split()],
    extra_link_args=[*pkg_config("--libs", name), *os.environ.get("COFFER_LDFLAGS", "").split()],
)
# Always from the .pyx: a C file left by an older Cython must not be what ships.
setup(ext_modules=cythonize([core], include_path=["vendor"], force=True, language_level=3))
