"""Which tests are `long`: each takes many seconds, and what it proves is proven in part by quicker ones beside it.

`make test` leaves them out, `make test-long` runs them and nothing else.
"""

from __future__ import annotations

LONG = (
    "tests/aws/test_runs_on_ecs.py::test_a_task_that_is_told_to_stop_is_replaced",
    "tests/aws/test_runs_on_ecs.py::test_aggregates_follow_in_a_task_on_demand",
    "tests/aws/test_runs_on_ecs.py::test_each_step_in_a_task_of_its_own",
    "tests/bathymetry/test_as_caris_grids.py::test_surveys_are_gridded_as_caris_was_told_to",
    "tests/bathymetry/test_caris_survey.py::test_a_survey_that_is_read_again",
    "tests/bathymetry/test_caris_survey.py::test_an_acceptance_runs_every_command",
    "tests/browser/test_cancel.py",
    "tests/crash/test_beside_a_daemon.py",
    "tests/crash/test_kill.py::test_killed_at_the_very_first_batch",
    "tests/crash/test_kill.py::test_killed_while_replacing",
    "tests/crash/test_kill.py::test_killed_while_updating_aggregates",
    "tests/deploy/test_deployment.py::test_a_run_ends_on_the_image_that_it_began_with",
    "tests/deploy/test_deployment.py::test_each_role_starts_and_is_healthy",
    "tests/deploy/test_image_twice.py::test_two_builds_of_a_commit_are_one_image",
    "tests/deploy/test_regression.py::test_every_answer_is_as_known",
    "tests/ecg/test_detector.py::test_what_beats_every_200_ms_breaks_no_memory",
    "tests/health/test_jobs.py",
    "tests/hostile/test_canaries.py::test_no_canary_is_written_anywhere[json]",
    "tests/landing/test_chaos.py::test_a_bad_day[1]",
    "tests/landing/test_chaos.py::test_a_bad_day[2]",
    "tests/landing/test_chaos.py::test_a_bad_day[3]",
    "tests/ocean/test_real_files.py::test_real_files_through_the_front_door",
    "tests/operations/test_backup.py::test_under_load",
    "tests/operations/test_check.py::test_after_a_kill_at_any_moment_all_agree",
    "tests/operations/test_commands.py::test_status_maintain_and_backup",
    "tests/operations/test_entries.py::test_a_held_batch",
    "tests/operations/test_entries_inside.py",
    "tests/operations/test_entries_outside.py",
    "tests/operations/test_maintain.py::test_beside_real_drains",
    "tests/rates/test_crash.py",
    "tests/rates_api/test_available.py",
    "tests/rates_api/test_dev.py",
    "tests/rates_api/test_document.py",
    "tests/test_add_a_source.py::test_a_new_source_works_as_it_stands",
    "tests/test_add_a_source.py::test_what_a_new_source_is_of_types_alone",
    "tests/test_bench.py::test_a_benchmark_runs_and_gives_its_rows",
    "tests/test_dagster_runs.py::test_requests_that_always_fail_end_with_a_held_batch",
    "tests/test_datasets.py::test_rows_of_undeclared_tables_are_kept_up",
    "tests/test_definitions.py::test_dagster_s_own_validation[dg check defs]",
    "tests/test_failure_kinds.py::test_a_disk_that_takes_no_more_refuses_no_file",
    "tests/test_failure_kinds.py::test_the_sensor_asks_for_a_bounded_number_of_runs",
    "tests/test_soak.py::test_a_short_soak",
)
"""How the ids of the tests begin."""


def is_long(node_id: str) -> bool:
    return node_id.startswith(LONG)
