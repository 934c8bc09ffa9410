"""Damaged files: 1,000 mutants of real raw files in every format, and files made to exhaust their reader.

Each is read in a process of its own with 5 s and 1 GB. Right is a table equal to what a second, naive parser makes of
the same bytes, or to what the mutation leaves unchanged; refused is a `MekevalError`. Everything else falls short: a
silent change, another exception, too slow, too big.
"""

from __future__ import annotations

import itertools
import os
import pickle
import random
import resource
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from fault_bombs import bombs
from fault_cases import Case, Cells, cases, workbook
from fault_mutations import MUTATIONS, Mutant
from rows import Row, arguments, row, show

from mekeval.errors import MekevalError
from mekeval.sources import read_source
from mekeval.study import SourceSpec

SECONDS, MEGABYTES, SEED = 5.0, 1024, 20230101
OUTCOMES = ("right", "refused", "silent change", "other exception", "too slow", "too big")

# --- one mutant, read under limits


def _limited(work: Callable[[], object], *, seconds: float = SECONDS) -> tuple[str, object, float, float]:
    """How a piece of work ended in a process of its own, its result, seconds and megabytes."""
    read, write = os.pipe()
    started = time.perf_counter()
    child = os.fork()
    if not child:
        os.close(read)
        size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (size + MEGABYTES * 2**20,) * 2)
        signal.setitimer(signal.ITIMER_REAL, 3 * seconds)  # a machine that is busy is no fault of the reader
        resource.setrlimit(resource.RLIMIT_CPU, (int(seconds), int(seconds) + 1))
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        try:
            answer: tuple[str, object] = ("done", work())
        except MemoryError:
            answer = ("big", None)
        except BaseException as cause:
            answer = ("error", f"{type(cause).__name__}: {cause}"[:300])
        with os.fdopen(write, "wb") as stream:
            pickle.dump((*answer, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024), stream)
        os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as stream:
        data = stream.read()
    _, state = os.waitpid(child, 0)
    spent = time.perf_counter() - started
    if data:
        kind, result, peak = pickle.loads(data)
        return ("big" if peak > MEGABYTES else kind), result, spent, peak
    ended = os.WTERMSIG(state) if os.WIFSIGNALED(state) else 0
    return (
        ("slow" if ended in (signal.SIGALRM, signal.SIGXCPU, signal.SIGKILL) else "died"),
        f"signal {ended}",
        spent,
        0.0,
    )


def _read(case: Case, path: Path) -> tuple[Cells, str] | str:
    """The cells and the notes; or the words of the refusal."""
    given = {
        "vintage": 2024,
        "sha256": "0" * 64,
        "items": ("people", "income"),
        "file": path.name,
        "reader": case.name.split(",")[0],
    }
    try:
        table = read_source(path, SourceSpec.model_validate({**given, **case.given}), case.labels)
    except MekevalError as error:
        return str(error)[:200]
    cells = table.cells
    values = [
        value if status == "ok" else status
        for value, status in zip(cells["value"].tolist(), cells["status"], strict=True)
    ]
    return Counter(
        zip(cells["area_label"], cells["item"], cells["year"].tolist(), values, strict=True)
    ), " ".join(table.notes)


def _fits(found: Cells, notes: str, original: Cells, truth: Cells | None, expected: str) -> bool:
    """Whether a table is what the mutant may give."""
    if expected != "subset" and truth is not None and found == truth:
        return True  # exactly what the bytes say
    if expected == "refuse":
        return False
    if expected == "subset":  # lines are gone, nothing else
        return not found - original or ("no end" in notes and len(found - original) == 1)
    if expected == "twice":
        return set(found) == set(original) and not original - found
    if expected == "values":  # letters that another encoding has not may differ in names
        return sorted(map(str, (key[1:] for key in found.elements()))) == sorted(
            map(str, (key[1:] for key in original.elements()))
        )
    return found == original and (expected == "same" or truth is None)


def judged(case: Case, original: Cells, mutant: Mutant, folder: Path) -> tuple[str, str, float, float]:
    """Outcome, words, seconds and megabytes of one mutant."""
    content, expected = mutant
    path = folder / "mutant"
    path.write_bytes(content)
    kind, result, spent, peak = _limited(lambda: _read(case, path))
    if kind in ("slow", "big"):
        return f"too {kind}", str(result), spent, peak
    if kind != "done":
        return "other exception", str(result), spent, peak
    if isinstance(result, str):
        return "refused", result, spent, peak
    found, notes = result
    told, truth, _, _ = _limited(lambda: case.truth(content), seconds=20)
    right = _fits(found, notes, original, truth if told == "done" else None, expected)
    change = (
        f"{expected}: new {list((found - original).items())[:3]}, gone {list((original - found).items())[:3]}"
    )
    return ("right" if right else "silent change"), change, spent, peak


# --- all of it


def tell(line: str) -> None:
    """A line on the standard error, at once."""
    print(line, file=sys.stderr, flush=True)


def measured(raw: Path, *, count: int, crafted: bool) -> tuple[Counter[tuple[str, str, str]], float, float]:
    """(reader, mutation, outcome) -> how many; the slowest in seconds, the largest in megabytes.

    What falls short is written to the standard error as it is found.
    """
    found: Counter[tuple[str, str, str]] = Counter()
    slowest, largest = 0.0, 0.0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        every = cases(raw, folder)
        originals = {}
        for case in every:
            (folder / "whole").write_bytes(case.content)
            whole = _read(case, folder / "whole")
            if isinstance(whole, str):
                raise SystemExit(f"{case.name}: the whole file is refused: {whole}")
            if (truth := case.truth(case.content)) is not None and truth != whole[0]:
                change = [*(truth - whole[0]).items(), *(whole[0] - truth).items()][:6]
                raise SystemExit(f"{case.name}: the naive parser differs: {change}")
            originals[case.name] = whole[0]
        plan = list(
            itertools.islice(
                itertools.cycle((case, kind) for case in every for kind in case.mutations), count
            )
        )
        for number, (case, kind) in enumerate(plan):
            mutant = MUTATIONS[kind](case.content, random.Random(SEED + number))
            outcome, words, spent, peak = judged(case, originals[case.name], mutant, folder)
            found[case.name, kind, outcome] += 1
            slowest, largest = max(slowest, spent), max(largest, peak)
            if outcome not in ("right", "refused"):
                tell(f"{case.name}, {kind}, mutant {number}: {outcome}: {words}")
        for what, reader, given, write in bombs(workbook([["a", "b"], ["1", "2"]])) if crafted else ():
            path = folder / "crafted"
            path.unlink(missing_ok=True)
            write(path)
            case = Case(
                name=reader,
                content=b"",
                given=given,
                labels=every[0].labels,
                truth=lambda _: None,
                mutations=(),
            )
            kind, result, spent, peak = _limited(lambda case=case, path=path: _read(case, path))
            outcome = {
                "slow": "too slow",
                "big": "too big",
                "died": "other exception",
                "error": "other exception",
            }.get(kind, "refused" if isinstance(result, str) else "silent change")
            found[reader, "crafted", outcome] += 1
            slowest, largest = max(slowest, spent), max(largest, peak)
            if outcome != "refused":
                tell(
                    f"{reader}, crafted, {what}: {outcome}: {str(result)[:200]}, {spent:.1f} s, {peak:.0f} MB"
                )
    return found, slowest, largest


def table(found: Counter[tuple[str, str, str]]) -> str:
    """Reader x mutation as Markdown; a row for every pair."""
    lines = ["| reader | mutation | " + " | ".join(OUTCOMES) + " |", "|---" * (2 + len(OUTCOMES)) + "|"]
    for reader, kind in dict.fromkeys((key[0], key[1]) for key in found):
        numbers = [str(found[reader, kind, outcome] or "") for outcome in OUTCOMES]
        lines.append(f"| {reader} | {kind} | " + " | ".join(numbers) + " |")
    totals = [str(sum(n for key, n in found.items() if key[2] == outcome)) for outcome in OUTCOMES]
    lines.append(f"| all | all | {' | '.join(totals)} |")
    return "\n".join(lines)


def rows(found: Counter[tuple[str, str, str]], slowest: float, largest: float) -> list[Row]:
    """One row for each reader and the limits."""
    result = []
    for reader in dict.fromkeys(key[0] for key in found):
        mine = {
            outcome: sum(n for key, n in found.items() if key[0] == reader and key[2] == outcome)
            for outcome in OUTCOMES
        }
        size = f"{sum(mine.values())} files: {mine['right']} right, {mine['refused']} refused"
        result.append(
            row(
                f"damaged files, {reader}: fell short", size, sum(list(mine.values())[2:]), "files", at_most=0
            )
        )
    total = sum(found.values())
    result.append(row("damaged files, the slowest", f"{total} files", slowest, "s", at_most=SECONDS))
    result.append(
        row("damaged files, the largest process", f"{total} files", largest, "MB", at_most=MEGABYTES)
    )
    return result


if __name__ == "__main__":
    options = arguments(__doc__ or "")
    if options.raw is None:
        show([], as_json=options.json)
        sys.exit(0)
    found, slowest, largest = measured(
        options.raw, count=250 if options.quick else 1000, crafted=not options.quick
    )
    if not options.json:
        print(table(found), end="\n\n")
    show(rows(found, slowest, largest), as_json=options.json)
