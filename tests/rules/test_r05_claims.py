"""R5 Claims. A run claims only files the ledger still assigns to its batch and that are not superseded; a lease with heartbeat and
fencing token; an expired lease (dead worker) frees them. Materializing an old batch again re-does exactly what it still
owns; a batch that owns nothing says so and materializes zero rows.

Proven by

- tests/ledger/test_leases.py::test_one_owner_at_a_time
- tests/ledger/test_leases.py::test_an_expired_lease_goes_to_the_next_with_a_higher_fence
- tests/ledger/test_leases.py::test_a_run_that_lost_its_batch_cannot_publish
- tests/ledger/test_leases.py::test_a_heartbeat_keeps_leases_and_stops_when_told
- tests/test_batch_failures.py::test_a_run_that_lost_its_batch_changes_nothing
- tests/test_batch_run.py::test_an_older_version_does_not_come_back
- tests/test_dagster_runs.py::test_a_batch_that_owns_nothing_materializes_no_rows
"""
