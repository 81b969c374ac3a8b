"""R7 Conflicts. On a racing commit: reload, look at the ledger again, then retry; runs of a source commit in turns. Snapshots are
expired by age, never one that a live writer may have started from. Only repeats replace.

Proven by

- tests/test_batch_failures.py::test_runs_commit_in_turns
- tests/test_lake.py::test_old_snapshots_go_and_what_readers_see_stays
- tests/test_lake.py::test_a_run_that_dies_after_expiry_is_still_set_back
- tests/ledger/test_leases.py::test_a_run_that_lost_its_turn_cannot_publish
"""
