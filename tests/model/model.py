"""What becomes of files: this model on one page is the reference for their states. `machine.py` does the same things to
the platform and to the model, in thousands of orders, and compares them after each.

`arrive`, `assemble` and `free_dead` are one look for arrivals. A run claims a batch, reads, decides and publishes; between
these everything else may happen, and it may be killed at each of them.
"""

from __future__ import annotations

from dataclasses import dataclass, field

BAD = ("rubbish",)
"""Content that its reader refuses. Any other content is the values that a file holds."""
MAX_ATTEMPTS, HOLD_FROM_FILES, HOLD_ABOVE = 3, 3, 0.5
NOT_THERE = {"superseded", "deleted"}
UNREAD = {"waiting", "pending", "held", "deleted"}


@dataclass(eq=False, repr=False)
class File:
    """One version of one key. The order of `Model.files` is the order in which versions became known."""

    key: str
    content: tuple
    state: str
    batch: Batch | None = None
    rows: tuple | None = None
    """what readers see of it, of a companion nothing but that it is there; None: it is not visible"""


@dataclass(eq=False, repr=False)
class Batch:
    state: str = "planned"
    attempts: int = 0
    released: bool = False


@dataclass(eq=False, repr=False)
class Run:
    batch: Batch
    files: list[File]
    released: bool
    at: str = "claimed"
    become: dict[File, tuple[str, tuple | None]] = field(default_factory=dict)
    """state and rows that publishing gives each file"""
    older: set[File] = field(default_factory=set)
    """superseded by publishing"""
    removed: set[File] = field(default_factory=set)
    """whose rows go"""


def record_of(key: str) -> str:
    """a.hdr is read with a.part, which it needs; any other file by itself."""
    return key.rsplit(".", 1)[0] if key.endswith((".hdr", ".part")) else key


def is_part(key: str) -> bool:
    return record_of(key) != key


class Model:
    def __init__(self) -> None:
        self.store: dict[str, tuple] = {}
        self.files: list[File] = []
        self.batches: list[Batch] = []
        self.leases: dict[object, tuple[Run, bool]] = {}
        """of batches, and of the turn to commit: who has it, and whether it is still live"""

    # A look for arrivals

    def look(self, *, all_is_late: bool) -> None:
        for key, content in self.store.items():
            self.arrive(key, content)
        newest = {file.key: file for file in self.files}
        for file in self.files:
            if file.state == "waiting" and file is not newest[file.key] and file.rows is None:
                file.state = "superseded"
        for record in {record_of(file.key) for file in self.files if file.state == "waiting"}:
            self.assemble(record, all_is_late)
        self.free_dead()

    def arrive(self, key: str, content: tuple) -> None:
        """The same bytes again change nothing; others are a new file, and what was not read yet never will be."""
        versions = [file for file in self.files if file.key == key]
        first = "waiting" if is_part(key) else "pending"
        if versions and versions[-1].content == content and versions[-1].state != "superseded":
            if versions[-1].state == "deleted":
                versions[-1].state, versions[-1].batch = first, None
            return
        for file in versions:
            if file.state in UNREAD and file.rows is None:
                file.state = "superseded"
        self.files.append(File(key, content, first))

    def assemble(self, record: str, is_late: bool) -> None:
        """A record is read as one once it is whole, or late; also the parts that were read before."""
        newest = {file.key: file for file in self.files if record_of(file.key) == record}
        parts = [file for file in newest.values() if file.state not in NOT_THERE]
        busy = any(f.state in {"running", "held"} or (f.state == "pending" and f.batch) for f in parts)
        if any(file.state == "waiting" for file in parts) and not busy and (is_late or len(parts) == 2):
            for file in parts:
                file.state, file.batch = "pending", None

    def free_dead(self) -> None:
        for batch in self.batches:
            if batch.state == "running" and not self.is_live(batch):
                self.leases.pop(batch, None)
                self.give_back(batch)

    # Batches

    def plan(self) -> Batch | None:
        free = [file for file in self.files if file.state == "pending" and file.batch is None]
        if not free or any(batch.state == "planned" for batch in self.batches):
            return None
        self.batches.append(Batch())
        for file in free:
            file.batch = self.batches[-1]
        return self.batches[-1]

    def claim(self, batch: Batch) -> Run | None:
        """Exactly the files that the batch still owns, also of one that was finished. None while a live run has it."""
        if self.is_live(batch):
            return None
        run = Run(batch, [f for f in self.files if f.batch is batch and f.state not in NOT_THERE], batch.released)
        self.leases[batch] = (run, True)
        batch.state, batch.attempts = "running", batch.attempts + 1
        for file in run.files:
            file.state = "running"
        return run

    def give_back(self, batch: Batch, *, hold: bool = False) -> None:
        hold = hold or batch.attempts >= MAX_ATTEMPTS
        batch.state = "held" if hold else "planned"
        for file in self.files:
            if file.batch is batch and file.state == "running":
                file.state = "committed" if file.rows is not None else "held" if hold else "pending"

    def release(self, batch: Batch, *, past_threshold: bool = True) -> None:
        """By a person; `redo` is the same for finished and held batches, and changes no threshold."""
        batch.state, batch.released, batch.attempts = "planned", batch.released or past_threshold, 0
        for file in self.files:
            if file.batch is batch and file.state == "held":
                file.state = "pending"

    def replay(self) -> None:
        for file in self.files:
            if file.state == "quarantined":
                file.state, file.batch = "waiting" if is_part(file.key) else "pending", None

    # A run

    def step(self, run: Run) -> None:
        """On to the next moment at which something else may happen."""
        if run.at == "claimed" and run.files:
            self.read(run)
            run.at = "read"
        elif run.at in {"claimed", "read", "turn"}:
            refused = sum(state == "quarantined" for state, _ in run.become.values())
            if not run.released and len(run.files) >= HOLD_FROM_FILES and refused > HOLD_ABOVE * len(run.files):
                self.end(run, hold=True)
            elif self.is_live("turn"):
                run.at = "turn"
            else:
                self.leases["turn"] = (run, True)
                self.decide(run)
                run.at = "decided"
        elif run.at in {"decided", "between"}:
            run.at = "between" if run.at == "decided" else "publishing"
        elif self.has(run, run.batch) and self.has(run, "turn"):
            self.publish(run)
            run.at = "ended"
        else:
            self.end(run)

    def end(self, run: Run, *, hold: bool = False) -> None:
        """Not finished. What it has lost to another run is not touched."""
        run.at = "ended"
        if self.has(run, run.batch):
            self.give_back(run.batch, hold=hold)
        self.leases = {what: lease for what, lease in self.leases.items() if lease[0] is not run}

    def read(self, run: Run) -> None:
        for record in {record_of(file.key) for file in run.files}:
            unit = [file for file in run.files if record_of(file.key) == record]
            gone = {
                file: "superseded" if file.key in self.store else "deleted"
                for file in unit
                if self.store.get(file.key) != file.content
            }
            whole = len(unit) == 2 or not is_part(unit[0].key)
            good = whole and all(file.content != BAD for file in unit)
            values = sum((file.content for file in sorted(unit, key=lambda one: one.key)), ())
            for file in unit:
                if gone:
                    run.become[file] = (gone.get(file, "waiting"), None)
                else:
                    shown = () if file.key.endswith(".part") else values
                    run.become[file] = ("committed", shown) if good else ("quarantined", None)

    def decide(self, run: Run) -> None:
        """With the turn to commit: which rows of other versions go, and which stay for want of better ones."""
        order = {file: number for number, file in enumerate(self.files)}
        visible = {file for file in self.files if file.rows is not None}
        for file in [file for file, (state, _) in run.become.items() if state == "committed"]:
            others = {other for other in self.files if other.key == file.key}
            newer = {other for other in others & visible if order[other] > order[file]}
            run.removed |= others & visible - newer
            run.older |= {o for o in others if order[o] < order[file] and o.state not in {"superseded", "running"}}
            if newer:
                run.become[file] = ("superseded", None)
        for file in [f for f in run.files if f not in visible and run.become[f][0] == "waiting"]:
            parts = [other for other in run.files if record_of(other.key) == record_of(file.key)]
            if any(other in visible and run.become[other][0] == "deleted" for other in parts):
                run.become[file] = ("quarantined", None)  # nothing more comes that it could wait for
        for file in visible & set(run.files):
            state = run.become[file][0]
            unit = [other for other in run.files if record_of(other.key) == record_of(file.key)]
            new_part_is_bad = any(run.become[o][0] == "quarantined" and o not in visible for o in unit)
            if state in {"superseded", "deleted", "waiting"} or (state == "quarantined" and new_part_is_bad):
                run.become[file] = ("committed", file.rows)
            else:
                run.removed.add(file)

    def publish(self, run: Run) -> None:
        """The moment in which a batch happens. A file that was superseded since stays so."""
        for file in run.removed:
            file.rows = None
        for file in run.older:
            file.state = "superseded"
        for file, (state, rows) in run.become.items():
            if file.state != "superseded":
                file.state, file.rows = state, rows
                if state == "waiting":
                    file.batch = None
        run.batch.state = "finished"
        del self.leases[run.batch], self.leases["turn"]

    # Leases

    def is_live(self, what: object) -> bool:
        return what in self.leases and self.leases[what][1]

    def has(self, run: Run, what: object) -> bool:
        """Also one that has expired, as long as nobody else took it."""
        return what in self.leases and self.leases[what][0] is run

    def expire(self, what: object) -> None:
        self.leases[what] = (self.leases[what][0], False)

    @property
    def visible(self) -> dict[str, list[float]]:
        return {f.key: list(f.rows) for f in self.files if f.rows is not None and not f.key.endswith(".part")}
