"""Run harnesses under atheris: ``python -m fuzz [--seconds N] [--corpus FOLDER] [NAME ...]``, or on one file.

Not here: how the core is built so that its C is watched too, which is ``scripts/fuzz``.

Rule 1: each harness is a process of its own, since libFuzzer never returns.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

NAMES = ("frames", "hello", "answer", "response", "id", "key_file", "envelope", "definition")
INPUT_LIMIT_BYTES = 4096


def main() -> int:
    options = _options()
    if options.replay:
        return _replay(options.names, options.replay)
    if len(options.names) == 1:
        return _fuzz(options.names[0], options.seconds, options.corpus)
    failed = [name for name in options.names or NAMES if _fuzz_apart(name, options)]
    print(f"fuzz: {len(options.names or NAMES) - len(failed)} passed, {len(failed)} failed", *failed)
    return 1 if failed else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="fuzz", description="Hostile input for coffer's parsers.")
    parser.add_argument("names", nargs="*", metavar="NAME", choices=[*NAMES, []], help=", ".join(NAMES))
    parser.add_argument("--seconds", type=int, default=60, help="for each harness (default: 60)")
    parser.add_argument("--corpus", type=Path, default=Path("build/fuzz/corpus"), help="kept from run to run")
    parser.add_argument("--replay", type=Path, metavar="FILE", help="run NAME once, on the bytes of a file")
    return parser.parse_args()


def _replay(names: list[str], file: Path) -> int:
    from fuzz.harnesses import HARNESSES

    for name in names:
        HARNESSES[name].fuzz_one(file.read_bytes())
    return 0


def _fuzz_apart(name: str, options: argparse.Namespace) -> int:
    print(f"fuzz: {name}, {options.seconds} s", flush=True)
    command = [sys.executable, "-m", "fuzz", name, "--seconds", str(options.seconds), "--corpus", str(options.corpus)]
    done = subprocess.run(command, capture_output=True, text=True)
    lines = done.stderr.splitlines()
    print("\n".join(lines[-40:] if done.returncode else lines[-2:]), flush=True)
    return done.returncode


def _fuzz(name: str, seconds: int, corpus: Path) -> int:
    import atheris

    with atheris.instrument_imports(include=["coffer"]):
        from fuzz.harnesses import HARNESSES

    folder = corpus / name
    folder.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(HARNESSES[name].seeds):
        (folder / f"seed-{number}").write_bytes(seed)
    found = corpus.parent / f"{name}-"
    flags = [f"-max_total_time={seconds}", f"-max_len={INPUT_LIMIT_BYTES}", f"-artifact_prefix={found}", "-timeout=10"]
    atheris.Setup([sys.argv[0], *flags, "-print_final_stats=0", str(folder)], HARNESSES[name].fuzz_one)
    atheris.Fuzz()
    return 0


if __name__ == "__main__":
    sys.exit(main())
