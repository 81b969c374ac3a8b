"""R6 Many tables. A file is `committed` when all declared tables of its source are. Readers through `strandline sql` see all of a
batch or none of it.

Proven by

- tests/test_sql.py::test_all_tables_of_a_batch_or_none
- tests/test_sql.py::test_a_query_that_is_overtaken_by_batches_looks_again
- tests/test_batch_failures.py::test_an_error_between_the_tables_commits
- tests/test_batch_failures.py::test_an_error_within_the_ledger_s_transaction
"""
