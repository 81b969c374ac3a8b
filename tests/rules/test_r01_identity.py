"""R1 Identity. A file is (store, key, etag or content hash, size); times and versions only order. Notifications and listings
name the same file. The same bytes under the same key again change nothing; A, B, A is a new generation. Reads pin what they
read. A local file counts once its size and mtime are stable over two looks; `land` writes aside and renames into place.

Proven by

- tests/ledger/test_arrivals.py::test_the_same_bytes_again_are_nothing_new
- tests/ledger/test_arrivals.py::test_the_same_bytes_under_another_key_are_another_file
- tests/ledger/test_arrivals.py::test_bytes_that_return_are_a_new_generation
- tests/landing/test_notifications.py::test_a_listing_and_a_notification_name_the_same_file
- tests/landing/test_contract.py::test_a_fetch_is_pinned_to_its_version
- tests/landing/test_s3_store.py::test_the_pin_is_asked_for
- tests/test_discovery.py::test_a_growing_file_is_not_taken_until_it_is_stable
- tests/test_landing_folder.py::test_putting_makes_folders_and_leaves_nothing_aside
"""
