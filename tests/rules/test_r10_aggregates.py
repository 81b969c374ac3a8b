"""R10 Aggregates over all batches are unpartitioned assets, requested by one debounced sensor on the ledger, incremental; no
`eager()` over partitions.

Proven by

- tests/test_definitions.py::test_every_aggregate_has_its_parent_checks_and_place_in_the_job
- tests/test_definitions.py::test_one_sensor_asks_for_all_aggregates
- tests/aggregates/test_dagster.py::test_it_waits_until_a_source_is_quiet
- tests/aggregates/test_dagster.py::test_while_load_goes_on_it_waits_no_longer_than_the_delay
- tests/aggregates/test_dagster.py::test_one_run_at_a_time
- tests/aggregates/test_updates.py::test_only_what_changed_is_computed
- tests/aggregates/test_updates.py::test_any_order_of_events
- tests/aggregates/test_killed.py::test_killed_anywhere_the_next_run_heals_it
- tests/ecg/test_summary.py::test_the_table_is_what_sql_counts
"""
