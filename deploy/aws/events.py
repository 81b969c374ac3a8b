"""How a landed file is told of: bucket → EventBridge → a queue of this deployment's own, with what nobody could take beside it."""

from __future__ import annotations

from aws_cdk import Duration, RemovalPolicy
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from deploy.aws.cdk_helpers import waive
from deploy.aws.deployment import Deployment
from deploy.aws.stores import Stores

_VISIBILITY = Duration.seconds(120)
"""Three times a tick: a message is deleted in the tick that took it, after the ledger has it."""
_RECEIVES = 20
"""With that, a ledger may be away for 40 minutes before a message is laid aside; listing finds the file all the same."""
_KEEP = Duration.days(14)


class LandingEvents(Construct):
    """A rule and a queue for each namespace: any number of deployments hear of the same bucket, none takes another's
    messages, and a bucket that does not belong to this stack only has to have EventBridge switched on."""

    def __init__(self, scope: Construct, deployment: Deployment, stores: Stores) -> None:
        super().__init__(scope, "LandingEvents")
        self.dead_letters = self._queue("DeadLetters", None)
        self.queue = self._queue("Queue", sqs.DeadLetterQueue(max_receive_count=_RECEIVES, queue=self.dead_letters))
        detail: dict[str, object] = {"bucket": {"name": [stores.landing.bucket_name]}}
        if deployment.landing_prefix:
            detail["object"] = {"key": [{"prefix": deployment.landing_prefix}]}
        events.Rule(
            self,
            "Created",
            description=f"{deployment.stack_name}: a file landed",
            event_pattern=events.EventPattern(source=["aws.s3"], detail_type=["Object Created"], detail=detail),
            targets=[targets.SqsQueue(self.queue, dead_letter_queue=self.dead_letters)],
        )

    def _queue(self, name: str, dead_letters: sqs.DeadLetterQueue | None) -> sqs.Queue:
        queue = sqs.Queue(
            self,
            name,
            visibility_timeout=_VISIBILITY,
            retention_period=_KEEP,
            # With SQS's own key: EventBridge may send to it without a grant on a key of ours.
            encryption=sqs.QueueEncryption.SQS_MANAGED,
            enforce_ssl=True,
            dead_letter_queue=dead_letters,
            removal_policy=RemovalPolicy.DESTROY,
        )
        waive(queue, CKV_AWS_27="It is encrypted, with SQS's own key; the check knows keys of KMS alone.")
        return queue
