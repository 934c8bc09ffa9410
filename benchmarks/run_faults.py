"""Runs that are killed: SIGKILL at random instants, each followed by a resume, held against an undisturbed run.

Each cycle starts `mekeval run` on a set that is published already, kills one of its processes (the runner, the forked
parent, a worker, a kernel) at an instant drawn evenly over the time a run takes, looks at what is there, runs again and
compares every byte. The runner and its forked parent are forked from this process, which has everything loaded, so that
a cycle costs a second; with --whole they are started as a user starts them, and nothing is left out.

In the place of the shipped notebooks stand three that show a word and a finding, but with --shipped. Run it from a
checkout at rest: a run notices that mekeval's own code has changed.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import nbformat
from filelock import FileLock, Timeout
from rows import Row, row, show

from mekeval.cli import main as command_line
from mekeval.indicators import clean_indicators, hidden_numbers
from mekeval.run import asked, going, matrix, pool, workers
from mekeval.run.kernels import Warm, preloaded
from mekeval.run.kernels.warm import Server
from mekeval.run.verify import verify_set
from mekeval.shipped import example_study, shipped
from mekeval.study import read_study

SEED, SET, VICTIMS = 20261122, "vantaa-mek", ("runner", "forked parent", "worker", "kernel")
_SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER of Linux's prctl
_PATIENCE = 20.0
_TIMES = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\+00:00|Z)")
_ENTRY = re.compile(rb"<entry>.*?</entry>", re.DOTALL)
_HEADS = {
    "city_report": 'study: str = ""\nraw: str = ""\nas_of: str = ""\nyear: int = 1\nlanguage: str = "fi"',
    "data_quality": 'study: str = ""\nraw: str = ""\nas_of: str = ""\nlanguage: str = "fi"',
}
_SHOWS = """
from IPython.display import HTML, display
from mekeval.report import FINDINGS_TYPE
display(HTML("<h1>{word}</h1>"))
found = [{{"year": year, "subject": "all", "outcome": "low_income_rate", "verdict": "{word}"}}]
display({{FINDINGS_TYPE: {{"title": "T", "description": "D", "findings": found}}}}, raw=True)
"""


def notebooks(folder: Path, word: str, *, real: bool = False) -> Path:
    """Notebooks that take no time and show a word; or the shipped ones, and the word below."""
    folder.mkdir(parents=True)
    for name in _HEADS if real else ():
        content = nbformat.read(shipped("notebooks", f"{name}.ipynb"), as_version=4)
        content.cells.append(nbformat.v4.new_markdown_cell(word, id="word"))
        nbformat.write(content, folder / f"{name}.ipynb")
    if real:
        return folder
    for name, head in _HEADS.items():
        body = _SHOWS.format(word=word)
        if name == "data_quality":
            body = re.sub(r"found = .*", "found = []", body)
        cells = [nbformat.v4.new_code_cell(head, metadata={"tags": ["parameters"]})]
        cells += [nbformat.v4.new_code_cell(body)]
        for number, cell in enumerate(cells):
            cell.id = f"cell-{number}"
        nbformat.write(nbformat.v4.new_notebook(cells=cells), folder / f"{name}.ipynb")
    return folder


# --- starting a run


def stand_ins() -> tuple[tuple[object, str, object], ...]:
    """What a run of the example study looks up more than once, looked up once: module, name, stand-in."""
    study = read_study(example_study())
    cleaned, hidden = clean_indicators(study), hidden_numbers(study)
    code = going.source_sha256()
    return (
        (matrix, "clean_indicators", lambda *_, **__: cleaned),
        (matrix, "look_elsewhere", lambda *_, **__: None),
        (matrix, "reference_areas", lambda *_, **__: None),
        (going, "clean_indicators", lambda *_, **__: cleaned),
        (going, "hidden_numbers", lambda *_, **__: hidden),
        (going, "source_sha256", lambda: code),
        (asked, "source_sha256", lambda: code),
    )


def make_ready() -> None:
    """Load what a run loads, read the example study once, and adopt what killed processes leave behind."""
    os.environ["PYDEVD_DISABLE_FILE_VALIDATION"] = "1"  # as in the warm process
    preloaded.load()
    for module, name, stand_in in (*stand_ins(), (pool, "start_warm", _forked_warm)):
        setattr(module, name, stand_in)
    ctypes.CDLL(None).prctl(_SUBREAPER, 1)


class _Child:
    """A process that was forked here, as far as `Warm` looks at it."""

    def __init__(self, pid: int) -> None:
        self._pid = pid

    def wait(self, timeout: float = 10.0) -> None:
        with contextlib.suppress(ChildProcessError):
            if ended(self._pid, timeout) is None:
                raise subprocess.TimeoutExpired("warm", timeout)

    def kill(self) -> None:
        os.kill(self._pid, signal.SIGKILL)


def _forked_warm(*, threads: int = 1, scratch: Path) -> Warm:
    """What `start_warm` starts, forked from here instead of loaded anew."""
    del threads
    ours, theirs = socket.socketpair()
    pid = os.fork()
    if not pid:
        ours.close()
        os.setsid()
        for number in os.listdir("/proc/self/fd"):  # noqa: PTH208  as a process that was started would have it
            if int(number) > 2 and int(number) != theirs.fileno():
                with contextlib.suppress(OSError):
                    os.close(int(number))
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
        os.environ["TMPDIR"] = tempfile.tempdir = str(scratch)
        Server(links=[theirs]).serve()
    theirs.close()
    return Warm(ours, cast("Any", _Child(pid)))


class _Here(Executor):
    """Every call at once and here: a run without kernels."""

    def submit(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_result(function(*args, **kwargs))
        return future


def start(words: list[str], *, log: Path, kernels: bool = True) -> int:
    """Run a command in a process forked from here; its number."""
    pid = os.fork()
    if pid:
        return pid
    code = 99
    try:
        out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(out, 1)
        os.dup2(out, 2)
        if not kernels:
            for module, name, stand_in in NO_KERNELS:
                setattr(module, name, stand_in)
        command_line(words, standalone_mode=False)
        code = 0
    except SystemExit as end:
        code = int(end.code or 0)
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _stand_in(job: Any, **_: object) -> Any:
    from mekeval.run.jobs import Outcome

    text = job.notebook.read_text(encoding="utf-8")
    word = re.findall(r"<h1>(\w+)</h1>", text)[0]
    finding = {"year": job.year, "subject": "all", "outcome": "low_income_rate", "verdict": word}
    found = () if job.kind in ("quality", "changes") else (finding,)
    return Outcome(job=job, html=f"<h1>{word}</h1>", notebook=text, findings=found, error="", seconds=0.1)


#: What makes a run do without kernels: module, name, stand-in.
NO_KERNELS = ((workers, "_own_pool", lambda *_: _Here()), (workers, "execute", _stand_in))


def start_whole(words: list[str], *, log: Path) -> int:
    """Run a command as a user does."""
    with log.open("wb") as stream:
        return subprocess.Popen(
            [sys.executable, "-m", "mekeval", *words], stdout=stream, stderr=stream, start_new_session=True
        ).pid


# --- looking at processes


def children(pid: int) -> list[int]:
    """The processes whose parent this is, without those that have ended."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = stat.read_text().rpartition(")")[2].split()
            if int(fields[1]) == pid and fields[0] != "Z":
                found.append(int(stat.parent.name))
    return found


def roles(runner: int) -> dict[str, list[int]]:
    """The processes of a run, by what they are; a kernel stands in the folder of the study."""
    parents = children(runner)
    rest = [child for parent in parents for child in children(parent)]
    places = {}
    for pid in rest:
        with contextlib.suppress(OSError):
            places[pid] = Path(f"/proc/{pid}/cwd").readlink() == example_study().parent
    found = {
        "runner": [runner],
        "forked parent": parents,
        "worker": [pid for pid, there in places.items() if not there],
        "kernel": [pid for pid, there in places.items() if there],
    }
    return {role: pids for role, pids in found.items() if pids}


def ended(pid: int, patience: float) -> int | None:
    """The exit code of a child of this process, once it has ended; None where it does not."""
    end = time.monotonic() + patience
    while time.monotonic() < end:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.002)
    return None


def told_of(pid: int) -> dict[str, str]:
    """What the system tells of a process."""
    found = {}
    for name in ("stat", "wchan", "cmdline"):
        with contextlib.suppress(OSError):
            found[name] = Path(f"/proc/{pid}/{name}").read_bytes().replace(b"\0", b" ").decode()[:120]
    with contextlib.suppress(OSError):
        found["cwd"] = str(Path(f"/proc/{pid}/cwd").readlink())
    return found


def orphans(patience: float = _PATIENCE) -> int:
    """How many processes are left, which this process has inherited; they are ended then."""
    end = time.monotonic() + patience
    while True:
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        left = children(os.getpid())
        if not left or time.monotonic() > end:
            break
        time.sleep(0.005)
    for pid in left:
        print("left:", told_of(pid), file=sys.stderr)
        os.kill(pid, signal.SIGKILL)
    return len(left)


# --- looking at sets


def contents(folder: Path) -> dict[str, bytes]:
    """What a set holds, byte for byte but for the times at which something happened, and the hashes of those times."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            content = path.read_bytes()
            name = path.relative_to(folder).as_posix()
            if name == "manifest.json":
                content = _timeless(content)
            elif name.endswith(".xml"):
                # The newest entry stands first: without times, the order says nothing.
                content = _TIMES.sub(b"", content)
                content = _ENTRY.sub(b"", content) + b"".join(sorted(_ENTRY.findall(content)))
            found[name] = content
    return found


def _timeless(content: bytes) -> bytes:
    said = json.loads(content)
    del said["begun"], said["ended"], said["sha256"], said["git"]  # somebody may commit meanwhile
    said["files"] = {name: one for name, one in said["files"].items() if not name.endswith(".xml")}
    for entry in (*said["reports"], *said["quality"]):
        del entry["made"]
    return json.dumps(said, sort_keys=True).encode()


def torn_files(out: Path) -> list[str]:
    """What no run that ended well leaves behind."""
    store = out / ".store"
    known = {f"{SET}.lock"} | ({(out / SET).resolve().name} if (out / SET).exists() else set())
    left = [f".store/{path.name}" for path in store.iterdir() if path.name not in known]
    beside = {SET, ".store", f"{SET}.run.json", f"{SET}.log.jsonl"}
    return left + [path.name for path in out.iterdir() if path.name not in beside]


def locked(out: Path) -> bool:
    """Whether a lock is held although nobody lives who could hold it."""
    lock = FileLock(out / ".store" / f"{SET}.lock")
    try:
        lock.acquire(timeout=0)
    except (Timeout, OSError):
        return (out / ".store").is_dir()
    lock.release()
    return False


# --- the cycles


@dataclass(kw_only=True)
class Counts:
    """What was found in all cycles; every kind of `faults` should be 0."""

    kills: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    too_late: int = 0
    examples: list[str] = field(default_factory=list)

    def fault(self, kind: str, what: str) -> None:
        self.faults[kind] += 1
        self.examples.append(f"{kind}: {what}")


@dataclass(frozen=True, kw_only=True)
class Setting:
    """Two sets that take turns, what each is when nobody disturbs its run, and how long that takes."""

    folder: Path
    out: Path
    kernels: bool
    whole: bool

    def words(self, word: str, out: Path) -> list[str]:
        given = [
            "--year",
            "2024",
            "--year",
            "2025",
            "--kind",
            "city",
            "--kind",
            "quality",
            "--language",
            "fi",
        ]
        given += ["--notebooks", str(self.folder / word), "--out", str(out), "--jobs", "2", "--quiet"]
        return ["run", str(example_study()), *given]

    def run(self, word: str, out: Path) -> int:
        log = self.folder / "log"
        words = self.words(word, out)
        return start_whole(words, log=log) if self.whole else start(words, log=log, kernels=self.kernels)

    def said(self) -> str:
        return (self.folder / "log").read_text(encoding="utf-8", errors="replace")[-600:]


WORDS = ("fragile", "improved")


def undisturbed(setting: Setting) -> tuple[dict[str, dict[str, bytes]], float]:
    """The two sets, each published over the other, and the seconds that a run takes."""
    whole, times = {}, []
    for word in (*WORDS, *WORDS):
        begun = time.monotonic()
        code = ended(setting.run(word, setting.folder / "undisturbed"), 300)
        times.append(time.monotonic() - begun)
        if code:
            raise SystemExit(f"The run itself fails with {code}:\n{setting.said()}")
        whole[word] = contents(setting.folder / "undisturbed" / SET)
    return whole, sorted(times)[1]


def cycle(
    setting: Setting, word: str, good: dict[str, dict[str, bytes]], at: float, pick: random.Random
) -> Iterator[tuple[str, str]]:
    """One kill and the resume: first the victim, then every fault."""
    out = setting.out
    before = contents(out / SET)
    runner = setting.run(word, out)
    time.sleep(at)
    there = roles(runner)
    role = pick.choice(sorted(there))
    victim = pick.choice(there[role])
    alive = not os.waitid(os.P_PID, runner, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    with contextlib.suppress(ProcessLookupError):
        os.kill(victim, signal.SIGKILL)
    yield "victim", role if alive else "too late"
    code = ended(runner, 120)
    if code is None:
        os.kill(runner, signal.SIGKILL)
        yield "hanging runs", f"{role} killed"
    if left := orphans():
        yield "orphan processes", f"{left} after the {role} was killed at {at:.3f} s"
    if code not in (0, 1, -signal.SIGKILL):
        yield "wrong exit codes", f"{code} after the {role} was killed\n{setting.said()}"
    if locked(out):
        yield "stale locks", role
    differences = verify_set(out)
    if differences:
        yield "torn sets", f"{differences[:2]} after the {role} was killed at {at:.3f} s"
    else:
        now = contents(out / SET)
        expected = good[word] if code == 0 else before
        if code == 1:  # a job was lost with its worker: the set says so
            entries = json.loads(now["manifest.json"])
            listed = [*entries["reports"], *entries["quality"]]
            if not any(one["failed"] for one in listed) or any(
                name != "manifest.json" and one.get("stale") is False and one["failed"] and name in now
                for one in listed
                for name in (f"{one['name']}.html",)
            ):
                yield "mixed sets", "a run that ended with 1 names no failure"
        elif now not in (expected, good[word]):
            yield "mixed sets", f"{_differing(now, before)} after the {role} was killed at {at:.3f} s"
    code = ended(setting.run(word, out), 300)
    if code:
        yield "failed resumes", f"{code}\n{setting.said()}"
        shutil.rmtree(out)
        ended(setting.run(word, out), 300)
        return
    if left := orphans():
        yield "orphan processes", f"{left} after a resume"
    now = contents(out / SET)
    if now != good[word]:
        yield "other bytes", f"{_differing(now, good[word])} after the {role} was killed at {at:.3f} s"
    if verify_set(out):
        yield "torn sets", "after a resume"
    if torn := torn_files(out):
        yield "torn files", f"{torn} after the {role} was killed at {at:.3f} s"


def _differing(one: dict[str, bytes], other: dict[str, bytes]) -> list[str]:
    return [name for name in sorted(one.keys() | other.keys()) if one.get(name) != other.get(name)][:4]


def kill_runs(
    number: int,
    *,
    kernels: bool = True,
    whole: bool = False,
    real: bool = False,
    seed: int = SEED,
    told: bool = False,
) -> tuple[Counts, float]:
    """So many cycles; what was found, and the seconds that an undisturbed run takes."""
    pick, counts = random.Random(seed), Counts()
    with tempfile.TemporaryDirectory(prefix="run-faults-") as place:
        folder = Path(place)
        scratch = folder / "tmp"
        scratch.mkdir()
        os.environ["TMPDIR"] = tempfile.tempdir = str(scratch)
        for word in WORDS:
            notebooks(folder / word, word, real=real)
        setting = Setting(folder=folder, out=folder / "out", kernels=kernels, whole=whole)
        good, seconds = undisturbed(setting)
        ended(setting.run(WORDS[1], setting.out), 300)
        ended(setting.run(WORDS[0], setting.out), 300)
        ended(setting.run(WORDS[1], setting.out), 300)
        count, reach = 0, seconds
        while sum(counts.kills.values()) < number and count < 10 * number:
            word, count = WORDS[count % 2], count + 1
            for kind, what in cycle(setting, word, good, pick.uniform(0, reach), pick):
                if kind == "victim" and what == "too late":  # the machine has become quicker; no kill
                    counts.too_late, reach = counts.too_late + 1, 0.9 * reach
                elif kind == "victim":
                    counts.kills[what], reach = counts.kills[what] + 1, min(1.03 * reach, 3 * seconds)
                else:
                    counts.fault(kind, what)
            if told and (whole or count % 10 == 0):
                print(
                    count,
                    counts.too_late,
                    dict(counts.kills),
                    dict(counts.faults),
                    file=sys.stderr,
                    flush=True,
                )
                for one in counts.examples[-3:]:
                    print("   ", one, file=sys.stderr, flush=True)
        tempfile.tempdir = None
        del os.environ["TMPDIR"]
    return counts, seconds


def signal_runs() -> tuple[Counts, float]:
    """A signal to the runner while a kernel works: its exit code, and nothing but what is kept for the next run."""
    counts = Counts()
    with tempfile.TemporaryDirectory(prefix="run-faults-") as place:
        folder = Path(place)
        scratch = folder / "tmp"
        scratch.mkdir()
        os.environ["TMPDIR"] = tempfile.tempdir = str(scratch)
        notebooks(folder / WORDS[0], WORDS[0])
        setting = Setting(folder=folder, out=folder / "out", kernels=True, whole=False)
        begun = time.monotonic()
        for number in (signal.SIGTERM, signal.SIGINT):
            runner = setting.run(WORDS[0], setting.out)
            while "kernel" not in roles(runner) and time.monotonic() < begun + 120:
                time.sleep(0.01)
            os.kill(runner, number)
            counts.kills[number.name] += 1
            if (code := ended(runner, 60)) != 128 + number:
                counts.fault("wrong exit codes", f"{code} after {number.name}\n{setting.said()}")
            if left := orphans():
                counts.fault("orphan processes", f"{left} after {number.name}")
            if torn := [name for name in torn_files(setting.out) if name != f".store/{SET}.work"]:
                counts.fault("torn files", f"{torn} after {number.name}")
            if left_there := [path.name for path in scratch.iterdir()]:
                counts.fault("torn files", f"{left_there} after {number.name}")
            if locked(setting.out):
                counts.fault("stale locks", number.name)
        tempfile.tempdir = None
        del os.environ["TMPDIR"]
    return counts, time.monotonic() - begun


KINDS = (
    "other bytes",
    "torn files",
    "torn sets",
    "mixed sets",
    "stale locks",
    "orphan processes",
    "hanging runs",
    "failed resumes",
    "wrong exit codes",
)


def rows_of(counts: Counts, seconds: float, task: str) -> list[Row]:
    killed = ", ".join(
        f"{role} {counts.kills[role]}" for role in (*VICTIMS, "SIGTERM", "SIGINT") if counts.kills[role]
    )
    size = f"{sum(counts.kills.values())} kills within {seconds:.2f} s ({killed})"
    return [row(f"{task}: {kind}", size, counts.faults[kind], "cycles", at_most=0) for kind in KINDS]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON list")
    parser.add_argument("--quick", action="store_true", help="end in under 60 s")
    parser.add_argument("--kills", type=int, default=500, help="of runs with real kernels")
    parser.add_argument("--bare", type=int, default=500, help="of runs without kernels")
    parser.add_argument("--whole", type=int, default=10, help="of runs that nothing was loaded for before")
    parser.add_argument("--shipped", type=int, default=0, help="as --whole, with the shipped notebooks")
    parser.add_argument("--seed", type=int, default=SEED)
    chosen = parser.parse_args()
    given = (chosen.kills, chosen.bare, chosen.whole, chosen.shipped)
    kills, bare, whole, real = (3, 5, 0, 0) if chosen.quick else given
    make_ready()
    rows: list[Row] = []
    for number, task, options in (
        (bare, "killed, without kernels", {"kernels": False}),
        (kills, "killed, real kernels", {}),
        (whole, "killed, started as a user does", {"whole": True}),
        (real, "killed, with the shipped notebooks", {"whole": True, "real": True}),
    ):
        if number:
            counts, seconds = kill_runs(number, seed=chosen.seed, told=not chosen.json, **options)
            for example in counts.examples:
                print(example, file=sys.stderr)
            rows += rows_of(counts, seconds, task)
    counts, seconds = signal_runs()
    for example in counts.examples:
        print(example, file=sys.stderr)
    rows += rows_of(counts, seconds, "a signal while a kernel works")
    show(rows, as_json=chosen.json)


if __name__ == "__main__":
    main()
