"""Damaged files without end: `python -m tests.hostile.fuzz picture|archive|checkpoint|model SECONDS FOLDER`.

Good and hostile files are changed by chance, and given to what reads them. Whatever is raised that is no sentence for a
person, takes more than 5 s or 1 GB, or ends the process, is kept in FOLDER. The work is done in a process of its own,
which is started anew where it dies; every file is written down before it is read.
"""

from __future__ import annotations

import argparse
import io
import json
import random
import signal
import struct
import subprocess
import sys
import time
import traceback
import warnings
import zipfile
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.hostile import archives, checkpoints, pictures
from tests.hostile.child import KINDS, forget_peak, give_up, peak_bytes, processor_seconds

SECONDS, MEGABYTES = 5, 1000
LARGEST_SEED = 100_000  # bytes: in larger files little is hit
SUFFIXES = {"picture": ".png", "archive": ".zip", "checkpoint": ".pth", "model": ".keras"}
NUMBERS = (b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x7f\xff\xff\xff", b"\0\0\0\x80", b"\xff\xff", b"\0\x01", bytes(8))


def seeds(kind: str) -> list[bytes]:
    nowhere = Path("canary")
    if kind == "model":
        from tests.core.backbones import hostile

        files = [hostile.ordinary(".keras"), hostile.ordinary(".h5"), hostile.of_words()]
        return [hostile.archive(hostile.members(data)) if data[:2] == b"PK" else data for data in files]
    cases = {"picture": pictures.cases, "archive": archives.cases, "checkpoint": checkpoints.cases}[kind](nowhere)
    return [case.data for case in cases if not case.dear and 20 < len(case.data) <= LARGEST_SEED]


def changed(data: bytes, rng: random.Random, others: Sequence[bytes]) -> bytes:
    """`data` with a few bytes changed, taken out, doubled, or replaced by those of another seed."""
    made = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 3, 8))):
        at, length = rng.randrange(len(made) + 1), rng.choice((1, 2, 4, 8, 40, 400))
        match rng.randrange(7):
            case 0:
                made[at : at + 1] = bytes([rng.randrange(256)])
            case 1:
                number = rng.choice(NUMBERS)
                made[at : at + len(number)] = number
            case 2:
                del made[at : at + length]
            case 3:
                made[at:at] = made[at : at + length]
            case 4:
                made[at:at] = rng.randbytes(length)
            case 5:
                other = rng.choice(others)
                start = rng.randrange(len(other))
                made[at : at + length] = other[start : start + length]
            case 6:
                if made[at : at + 1]:
                    made[at] ^= 1 << rng.randrange(8)
    return bytes(made)


def with_sums(data: bytes) -> bytes:
    """The PNG with the check sums that its chunks should have: else a change goes no further than them."""
    made, at = bytearray(data), 8
    while at + 12 <= len(made):
        end = at + 8 + struct.unpack_from(">I", made, at)[0]
        if end + 4 > len(made):
            break
        made[end : end + 4] = struct.pack(">I", zlib.crc32(made[at + 4 : end]))
        at = end + 4
    return bytes(made)


def changed_within(data: bytes, rng: random.Random) -> bytes:
    """The archive with one of its members changed, and packed rightly."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    name = rng.choice([name for name, content in members.items() if content])
    members[name] = changed(members[name], rng, list(filter(None, members.values())))
    return archives.packed(members)


def mutated(kind: str, rng: random.Random, good: Sequence[bytes]) -> bytes:
    data = rng.choice(good)
    if kind == "archive" and rng.random() < 0.5:
        head = len(data) * 2 // 3  # what an archive says of itself is at its end
        return data[:head] + changed(data[head:], rng, good)
    if kind in ("archive", "model") and rng.random() < 0.7 and zipfile.is_zipfile(io.BytesIO(data)):
        try:
            return changed_within(data, rng)
        except Exception:  # a hostile one: the bytes themselves, then
            return changed(data, rng, good)
    made = changed(data, rng, good)
    return with_sums(made) if made.startswith(b"\x89PNG") and rng.random() < 0.8 else made


def problem(read: Callable[[Path], str], path: Path) -> str | None:
    """What is wrong with reading the file, if anything; an error counts unless it is a sentence for a person."""
    from core.errors import UserError

    forget_peak()
    memory, seconds = peak_bytes(), processor_seconds()
    signal.alarm(60)
    try:
        words = read(path)
    except UserError as error:
        words = str(error)
    except BaseException:
        return traceback.format_exc()
    finally:
        signal.alarm(0)
    seconds, megabytes = processor_seconds() - seconds, (peak_bytes() - memory) / 1e6
    if "\n" in words or len(words) > 1000:
        return f"no sentence: {words!r}"
    if seconds > SECONDS or megabytes > MEGABYTES:
        return f"{seconds:.1f} s, {megabytes:.0f} MB"
    return None


def work(kind: str, folder: Path, seed: int, until: float) -> None:
    """Read changed files until then; the last line printed is how many, and how many of them were read."""
    signal.signal(signal.SIGALRM, give_up)
    warnings.simplefilter("ignore")
    if kind == "model":
        from core.__main__ import _start_tensorflow

        _start_tensorflow()
    rng, good = random.Random(seed), seeds(kind)
    path, runs = folder / f"current-{seed}{SUFFIXES[kind]}", 0
    while time.time() < until:
        path.write_bytes(mutated(kind, rng, good))
        found = problem(KINDS[kind], path)
        runs += 1
        if found:
            name = f"{kind}-{seed}-{runs}"
            (folder / f"{name}{path.suffix}").write_bytes(path.read_bytes())
            (folder / f"{name}.txt").write_text(found)
        if runs % 50 == 0 or found:
            print(json.dumps({"runs": runs, "found": bool(found)}), flush=True)
    path.unlink()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=SUFFIXES)
    parser.add_argument("seconds", type=float)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--until", type=float, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.until is not None:
        work(given.kind, given.folder, given.seed, given.until)
        return
    given.folder.mkdir(parents=True, exist_ok=True)
    until, seed, runs, deaths = time.time() + given.seconds, given.seed, 0, 0
    while time.time() < until - 1:
        more = ["--seed", str(seed), "--until", str(until)]
        command = [sys.executable, "-m", "tests.hostile.fuzz", given.kind, "0", str(given.folder), *more]
        ran = subprocess.run(command, capture_output=True, text=True, errors="replace")
        runs += max((json.loads(line)["runs"] for line in ran.stdout.splitlines()), default=0)
        if ran.returncode:
            deaths += 1
            (given.folder / f"{given.kind}-{seed}-died.txt").write_text(f"{ran.returncode}\n{ran.stderr[-3000:]}")
        seed += 1
    findings = sorted(path.name for path in given.folder.glob(f"{given.kind}-*.txt"))
    print(json.dumps({"kind": given.kind, "runs": runs, "deaths": deaths, "findings": findings}))


if __name__ == "__main__":
    main()
