"""Taking a `dev` deployment down with all its data: `python -m deploy.aws.teardown NAMESPACE`.

CloudFormation deletes no bucket that has something in it, so they are emptied first, all versions, once nothing runs that
would fill them again. A deployment of another profile is refused: its data are meant to outlive it.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from deploy.aws.profiles import PROFILES
from deploy.roles import stack_name

_AT_ONCE = 1000
_LONGEST_SECONDS = 3600.0
_EVERY_SECONDS = 15.0


class Refused(Exception):
    """It is not torn down. The message says why, and what to do."""


def check_may_go(cloudformation: Any, name: str) -> list[str]:
    """The names of the stack's buckets. Raises Refused."""
    try:
        found = cloudformation.describe_stacks(StackName=name)["Stacks"][0]
    except cloudformation.exceptions.ClientError as error:
        if "does not exist" not in str(error):
            raise
        raise Refused(f"there is no stack {name}; is the region right (AWS_REGION)?") from None
    tags = {tag["Key"]: tag["Value"] for tag in found.get("Tags", [])}
    profile = PROFILES.get(tags.get("strandline-profile", ""))
    if profile is None or profile.is_protected:
        raise Refused(
            f"{name} has the profile {tags.get('strandline-profile', 'of nothing known')!r}, whose data outlive it. "
            "docs/deploy.md says how such a deployment is ended by hand."
        )
    pages = cloudformation.get_paginator("list_stack_resources").paginate(StackName=name)
    return [
        one["PhysicalResourceId"]
        for page in pages
        for one in page["StackResourceSummaries"]
        if one["ResourceType"] == "AWS::S3::Bucket"
    ]


def stop_all(ecs: Any, cluster: str) -> int:
    """Ask all services and runs to end. Returns how many tasks were asked; none once the cluster is gone."""
    found = ecs.describe_clusters(clusters=[cluster])["clusters"]
    if not any(one["status"] == "ACTIVE" for one in found):
        return 0
    for page in ecs.get_paginator("list_services").paginate(cluster=cluster):
        for service in page["serviceArns"]:
            ecs.update_service(cluster=cluster, service=service, desiredCount=0)
    asked = 0
    for page in ecs.get_paginator("list_tasks").paginate(cluster=cluster):
        for task in page["taskArns"]:
            ecs.stop_task(cluster=cluster, task=task, reason="torn down")
            asked += 1
    return asked


def empty(s3: Any, bucket: str) -> int:
    """Delete all versions of all objects. Returns how many."""
    count = 0
    # Always the first page: positions in a listing mean little while what was listed is deleted.
    while objects := _first_versions(s3, bucket):
        answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": objects, "Quiet": True})
        if answer.get("Errors"):
            first = answer["Errors"][0]
            raise Refused(f"{bucket}: {first['Key']} cannot be deleted ({first['Code']}: {first['Message']})")
        count += len(objects)
    return count


def _first_versions(s3: Any, bucket: str) -> list[dict[str, str]]:
    page = s3.list_object_versions(Bucket=bucket, MaxKeys=_AT_ONCE)
    found = [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
    return [{"Key": one["Key"], "VersionId": one["VersionId"]} for one in found]


def tear_down(
    namespace: str,
    client: Callable[[str], Any],
    say: Callable[[str], None],
    *,
    wait: Callable[[float], None] = time.sleep,
) -> None:
    """All of it. Raises Refused."""
    cloudformation, name = client("cloudformation"), stack_name(namespace)
    buckets = check_may_go(cloudformation, name)
    stack_id = cloudformation.describe_stacks(StackName=name)["Stacks"][0]["StackId"]
    asked = stop_all(client("ecs"), name)
    say(f"{asked} tasks are asked to end")
    deadline = time.monotonic() + _LONGEST_SECONDS
    while asked and client("ecs").list_tasks(cluster=name)["taskArns"]:
        if time.monotonic() > deadline:
            raise Refused(f"tasks of {name} do not end; look at the cluster in ECS")
        wait(_EVERY_SECONDS)
    for bucket in buckets:
        say(f"{bucket}: {empty(client('s3'), bucket)} versions deleted")
    cloudformation.delete_stack(StackName=stack_id)
    while True:
        # By its id: under its name it is not found any more.
        stack = cloudformation.describe_stacks(StackName=stack_id)["Stacks"][0]
        if stack["StackStatus"] == "DELETE_COMPLETE":
            say(f"{name} is gone")
            return
        if stack["StackStatus"] == "DELETE_FAILED" or time.monotonic() > deadline:
            reason = stack.get("StackStatusReason", "look at its events in CloudFormation")
            raise Refused(f"{name} is not gone ({stack['StackStatus']}): {reason}. Running this again goes on.")
        wait(_EVERY_SECONDS)


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m deploy.aws.teardown", description=__doc__)
    parser.add_argument("namespace")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    options = parser.parse_args(arguments)
    if (
        not options.yes
        and input(f"Delete {stack_name(options.namespace)} with all its data? Type its namespace: ")
        != options.namespace
    ):
        print("nothing was done", file=sys.stderr)
        return 1
    import boto3

    try:
        tear_down(options.namespace, boto3.client, print)
    except Refused as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
