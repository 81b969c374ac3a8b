"""R4 Refusal before visibility. Every refusal and every blocking threshold is decided before the first commit of the batch. A
batch over its threshold is `held`: nothing of it visible, `strandline release` or a replay moves it on. Checks that run
afterwards only report.

Proven by

- tests/test_batch_run.py::test_too_many_refusals_hold_the_batch_until_released
- tests/test_batch_run.py::test_a_held_batch_that_is_mended_passes_without_release
- tests/test_batch_run.py::test_few_files_are_never_held
- tests/test_cli.py::test_drain_ends_with_3_when_a_batch_is_held_and_release_moves_it_on
- tests/test_dagster_runs.py::test_the_balance_check_reads_the_tables_anew
"""
