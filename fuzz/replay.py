"""Replay the seeds of `fuzz/seeds`, each as it is and mutated, without any fuzzing engine.

    python -m fuzz.replay [--mutations N] [--random SEED] [TARGET ...]

Mutations are repeatable: the same `--random` gives the same ones. With `atheris` installed,
`python -m fuzz.replay --atheris TARGET` explores by coverage from the same seeds.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from fuzz.targets import TARGETS

__all__ = ["main", "mutated", "replay", "seeds"]

SEEDS = Path(__file__).parent / "seeds"

_SPLICES = (
    b"null",
    b"-1",
    b"99999999999999999999",
    b'"',
    b"{}",
    b"[[[[[[[[",
    b"PT1S",
    b"\xff",
    b"\n",
    b"seq",
)


def seeds(target: str) -> list[Path]:
    """The seed files of a target, in order."""
    return sorted(path for path in (SEEDS / target).iterdir() if path.is_file())


def mutated(data: bytes, source: random.Random) -> bytes:
    """Change a few places of a seed: flip, cut, repeat, splice, or move lines about."""
    for _ in range(source.randint(1, 4)):
        at = source.randrange(len(data) + 1)
        to = min(len(data), at + source.randrange(16))
        match source.randrange(6):
            case 0 if data:
                at = min(at, len(data) - 1)
                data = data[:at] + bytes([data[at] ^ (1 << source.randrange(8))]) + data[at + 1 :]
            case 1:
                data = data[:at] + data[to:]
            case 2:
                data = data[:to] + data[at:to] + data[to:]
            case 3:
                data = data[:at] + source.choice(_SPLICES) + data[to:]
            case 4:
                lines = data.split(b"\n")
                lines.insert(source.randrange(len(lines) + 1), source.choice(lines))
                data = b"\n".join(lines)
            case _:
                lines = data.split(b"\n")
                first, second = source.randrange(len(lines)), source.randrange(len(lines))
                lines[first], lines[second] = lines[second], lines[first]
                data = b"\n".join(lines)
    return data


def inputs(target: str, *, mutations: int, random_seed: int) -> Iterator[tuple[Path, bytes]]:
    """Each seed of a target as it is, then its mutations."""
    for path in seeds(target):
        seed = path.read_bytes()
        yield path, seed
        source = random.Random(f"{random_seed} {target} {path.name}")
        for _ in range(mutations):
            yield path, mutated(seed, source)


def replay(target: str, *, mutations: int = 0, random_seed: int = 1) -> int:
    """Run a target on its seeds and their mutations; return how many inputs there were.

    Whatever the target raises is raised, with the input in a note.
    """
    count = 0
    for path, data in inputs(target, mutations=mutations, random_seed=random_seed):
        count += 1
        try:
            TARGETS[target](data)
        except BaseException as error:
            error.add_note(f"{target} on input {count}, from {path.name}: {data!r}")
            raise
    return count


def explore(target: str) -> None:
    """Hand a target to atheris, which does not come back."""
    import atheris  # type: ignore[import-not-found]

    atheris.instrument_all()
    atheris.Setup([sys.argv[0], str(SEEDS / target)], TARGETS[target])
    atheris.Fuzz()


def main(arguments: Sequence[str] | None = None) -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(prog="python -m fuzz.replay")
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join(TARGETS))
    parser.add_argument("--mutations", type=int, default=0, help="how many of each seed")
    parser.add_argument("--random", type=int, default=1, help="where the mutations start")
    parser.add_argument("--atheris", action="store_true", help="explore one target by coverage")
    options = parser.parse_args(arguments)
    unknown = set(options.targets) - set(TARGETS)
    if unknown:
        parser.error(
            f"no such target: {', '.join(sorted(unknown))}; there are {', '.join(TARGETS)}"
        )
    if options.atheris:
        if len(options.targets) != 1:
            parser.error("--atheris takes exactly one target")
        explore(options.targets[0])
    for target in options.targets or TARGETS:
        count = replay(target, mutations=options.mutations, random_seed=options.random)
        print(f"{target}: {count} inputs")


if __name__ == "__main__":
    main()
