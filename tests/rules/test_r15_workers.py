"""R15 Workers. The pool of reader processes belongs to the run and is closed before the run ends; workers never import `__main__`;
a pool that cannot start is an infrastructure error, a worker that dies on a file is that file's refusal. A batch without
one good file is a normal batch.

Proven by

- tests/test_batch_run.py::test_misbehaving_files_are_refused_and_their_neighbours_committed
- tests/test_batch_failures.py::test_stopping_ends_readers_at_work
- tests/test_batch_failures.py::test_a_full_disk_is_no_refusal
"""

from __future__ import annotations

from resources.platform import Platform
from tests.conftest import Put
from tests.running import batch_state, next_batch, reader_processes, run, states, toy, visible


def test_a_batch_without_one_good_file_is_a_normal_batch_and_its_readers_are_gone(platform: Platform, put: Put) -> None:
    put("toy/bad", toy("bad"))
    put("toy/crash", toy("crash"))
    batch = next_batch(platform)
    assert run(platform, batch).committed == 0
    assert reader_processes() == []
    assert batch_state(platform, batch) == "finished"
    assert states(platform) == {"toy/bad": "quarantined", "toy/crash": "quarantined"}
    assert visible(platform) == {}
