"""What each role may do, as statements: one small function for each need. Nobody may write to the landing store with them,
but where prices are posted."""

from __future__ import annotations

from collections.abc import Sequence

from aws_cdk import Aws
from aws_cdk import aws_iam as iam

from deploy.aws.deployment import Deployment
from deploy.aws.profiles import SOURCES
from deploy.aws.stores import Stores
from deploy.roles import run_family

ATHENA = ("athena:StartQueryExecution", "athena:GetQueryExecution", "athena:GetQueryResults", "athena:StopQueryExecution",
          "athena:GetWorkGroup")  # fmt: skip
GLUE_READ = ("glue:GetDatabase", "glue:GetDatabases", "glue:GetTable", "glue:GetTables", "glue:GetTableVersion",
             "glue:GetTableVersions", "glue:GetPartitions")  # fmt: skip
GLUE_WRITE = ("glue:CreateTable", "glue:UpdateTable", "glue:DeleteTable", "glue:CreateDatabase")
POSTED = "rates/posted"


def allow(
    actions: Sequence[str], resources: Sequence[str], conditions: dict[str, object] | None = None
) -> iam.PolicyStatement:
    return iam.PolicyStatement(actions=list(actions), resources=list(resources), conditions=conditions)


def reads_landing(deployment: Deployment, stores: Stores) -> list[iam.PolicyStatement]:
    """List it, and read any version of what is below its prefix."""
    condition: dict[str, object] | None = None
    if deployment.landing_prefix:
        condition = {"StringLike": {"s3:prefix": [deployment.landing_prefix, f"{deployment.landing_prefix}*"]}}
    return [
        allow(["s3:ListBucket"], [stores.landing.bucket_arn], condition),
        allow(
            ["s3:GetObject", "s3:GetObjectVersion"],
            [stores.landing.arn_for_objects(f"{deployment.landing_prefix}*")],
        ),
    ]


def posts_prices(deployment: Deployment, stores: Stores) -> list[iam.PolicyStatement]:
    """A price that is posted is a file in the landing store."""
    return [allow(["s3:PutObject"], [stores.landing.arn_for_objects(f"{deployment.landing_prefix}{POSTED}/*")])]


def reads_lake(deployment: Deployment, stores: Stores) -> list[iam.PolicyStatement]:
    return [
        allow(["s3:ListBucket", "s3:GetBucketLocation"], [stores.lake.bucket_arn]),
        allow(["s3:GetObject"], [stores.lake.arn_for_objects("*")]),
        allow(GLUE_READ, _catalog(deployment)),
    ]


def writes_lake(deployment: Deployment, stores: Stores) -> list[iam.PolicyStatement]:
    return [
        *reads_lake(deployment, stores),
        allow(["s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"], [stores.lake.arn_for_objects("*")]),
        allow(GLUE_WRITE, _catalog(deployment)),
    ]


def asks_athena(deployment: Deployment, stores: Stores) -> list[iam.PolicyStatement]:
    group = f"arn:{Aws.PARTITION}:athena:{Aws.REGION}:{Aws.ACCOUNT_ID}:workgroup/{deployment.stack_name}"
    return [
        allow(ATHENA, [group]),
        allow(["s3:ListBucket", "s3:GetBucketLocation"], [stores.ops.bucket_arn]),
        allow(["s3:GetObject", "s3:PutObject"], [stores.ops.arn_for_objects("athena/*")]),
    ]


def reads_compute_logs(stores: Stores) -> list[iam.PolicyStatement]:
    return [
        allow(["s3:ListBucket"], [stores.ops.bucket_arn]),
        allow(["s3:GetObject"], [stores.ops.arn_for_objects("runs/*")]),
    ]


def writes_compute_logs(stores: Stores) -> list[iam.PolicyStatement]:
    objects = [stores.ops.arn_for_objects("runs/*")]
    return [*reads_compute_logs(stores), allow(["s3:PutObject", "s3:DeleteObject"], objects)]


def _catalog(deployment: Deployment) -> list[str]:
    base = f"arn:{Aws.PARTITION}:glue:{Aws.REGION}:{Aws.ACCOUNT_ID}"
    names = [f"{deployment.table_prefix}{source}" for source in SOURCES]
    return [
        f"{base}:catalog",
        *(f"{base}:database/{name}" for name in names),
        *(f"{base}:table/{name}/*" for name in names),
    ]


def pulls_image(image: str) -> list[iam.PolicyStatement]:
    """image: repository and digest."""
    registry, _, rest = image.partition("/")
    account, region = registry.split(".")[0], registry.split(".")[3]
    repository = f"arn:{Aws.PARTITION}:ecr:{region}:{account}:repository/{rest.partition('@')[0]}"
    return [
        # Takes no resource.
        allow(["ecr:GetAuthorizationToken"], ["*"]),
        allow(["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer", "ecr:BatchCheckLayerAvailability"], [repository]),
    ]


def looks_at_runs(deployment: Deployment) -> list[iam.PolicyStatement]:
    """Dagster's launcher asks for the task definition when it is made, and for tasks when somebody asks how a run is."""
    return [
        # Takes no resource.
        allow(["ecs:DescribeTaskDefinition"], ["*"]),
        allow(["ecs:DescribeTasks"], [_ecs("task", deployment)], _in_cluster(deployment)),
    ]


def stops_runs(deployment: Deployment) -> list[iam.PolicyStatement]:
    return [
        allow(["ecs:StopTask"], [_ecs("task", deployment)], _in_cluster(deployment)),
        allow(["logs:GetLogEvents"], [f"{_run_log(deployment)}:*"]),
    ]


def starts_runs(deployment: Deployment, task_role: str, execution_role: str) -> list[iam.PolicyStatement]:
    """Any revision of this deployment's run task, in its cluster, under its roles."""
    definition = (
        f"arn:{Aws.PARTITION}:ecs:{Aws.REGION}:{Aws.ACCOUNT_ID}:task-definition/{run_family(deployment.namespace)}:*"
    )
    creating: dict[str, object] = {"StringEquals": {"ecs:CreateAction": "RunTask"}}
    return [
        allow(["ecs:RunTask"], [definition], _in_cluster(deployment)),
        allow(["ecs:TagResource"], [_ecs("task", deployment)], creating),
        allow(
            ["iam:PassRole"],
            [task_role, execution_role],
            {"StringEquals": {"iam:PassedToService": "ecs-tasks.amazonaws.com"}},
        ),
    ]


def _ecs(kind: str, deployment: Deployment) -> str:
    return f"arn:{Aws.PARTITION}:ecs:{Aws.REGION}:{Aws.ACCOUNT_ID}:{kind}/{deployment.stack_name}/*"


def _run_log(deployment: Deployment) -> str:
    return f"arn:{Aws.PARTITION}:logs:{Aws.REGION}:{Aws.ACCOUNT_ID}:log-group:/strandline/{deployment.namespace}/run"


def _in_cluster(deployment: Deployment) -> dict[str, object]:
    cluster = f"arn:{Aws.PARTITION}:ecs:{Aws.REGION}:{Aws.ACCOUNT_ID}:cluster/{deployment.stack_name}"
    return {"ArnEquals": {"ecs:cluster": cluster}}
