"""Where bytes lie: the landing store, the lake, products, and what the deployment says of itself."""

from __future__ import annotations

from aws_cdk import Duration, RemovalPolicy
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_efs as efs
from aws_cdk import aws_s3 as s3
from constructs import Construct

from deploy.aws.cdk_helpers import resource_of, waive
from deploy.aws.deployment import Deployment
from deploy.aws.network import Network
from deploy.roles import USER_ID

_RARELY_READ_AFTER = Duration.days(30)
_OPS_DAYS = Duration.days(90)
_OWN_KEY = (
    "Encrypted with S3's key. With a key of KMS an object's ETag is no longer the MD5 of its bytes, and the ETag is "
    "what tells a file from another: the same bytes landed again would be read again."
)


class Stores(Construct):
    """Buckets are versioned, encrypted, closed to the public, and speak TLS only.

    Old objects move to Intelligent-Tiering, none of whose tiers in use here makes a reader wait: a replay or a rebuild
    of the tables needs the bytes of any file at any time, so no class that must be restored first comes in question.
    """

    def __init__(self, scope: Construct, deployment: Deployment, network: Network) -> None:
        super().__init__(scope, "Stores")
        profile = deployment.profile
        self._is_protected = profile.is_protected
        self._removal = RemovalPolicy.RETAIN if profile.is_protected else RemovalPolicy.DESTROY
        self.ops = self._bucket(
            "Ops",
            None,
            [s3.LifecycleRule(expiration=_OPS_DAYS, noncurrent_version_expiration=Duration.days(7))],
        )
        """access logs, Dagster's compute logs, answers of Athena"""
        waive(self.ops, CKV_AWS_18="It takes the access logs of the others; logging itself would never end.")
        self.landing: s3.IBucket
        if deployment.landing_bucket:
            self.landing = s3.Bucket.from_bucket_name(self, "Landing", deployment.landing_bucket)
        else:
            self.landing = self._landing()
        self.lake = self._bucket(
            "Lake",
            "lake",
            [
                s3.LifecycleRule(
                    noncurrent_version_expiration=Duration.days(profile.lake_undo_days),
                    expired_object_delete_marker=True,
                ),
                _to_intelligent_tiering(is_of_older_versions_too=False),
            ],
        )
        self.products = self._products(network)

    def _landing(self) -> s3.Bucket:
        bucket = self._bucket("Landing", "landing", [_to_intelligent_tiering(is_of_older_versions_too=True)])
        # The construct's own way is a Lambda function that CloudFormation calls; the resource has had a property for years.
        resource_of(bucket).add_property_override(
            "NotificationConfiguration.EventBridgeConfiguration.EventBridgeEnabled", True
        )
        return bucket

    def _bucket(self, name: str, log_prefix: str | None, rules: list[s3.LifecycleRule]) -> s3.Bucket:
        bucket = s3.Bucket(
            self,
            name,
            versioned=True,
            encryption=s3.BucketEncryption.S3_MANAGED,
            enforce_ssl=True,
            minimum_tls_version=1.2,
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
            removal_policy=self._removal,
            # S3 delivers logs hours later, also into a bucket that was just emptied to be deleted.
            server_access_logs_bucket=self.ops if log_prefix and self._is_protected else None,
            server_access_logs_prefix=f"s3/{log_prefix}/" if log_prefix and self._is_protected else None,
            lifecycle_rules=[
                s3.LifecycleRule(abort_incomplete_multipart_upload_after=Duration.days(7)),
                *rules,
            ],
        )
        waive(bucket, CKV_AWS_145=_OWN_KEY)
        if not self._is_protected:
            waive(bucket, CKV_AWS_18="Access is logged where data outlive the stack.")
        return bucket

    def _products(self, network: Network) -> efs.AccessPoint:
        """Documents, pictures, NetCDF: a folder that all runs share."""
        self.product_group = ec2.SecurityGroup(
            self, "ProductsGroup", vpc=network.vpc, description="Strandline products", allow_all_outbound=False
        )
        system = efs.FileSystem(
            self,
            "Products",
            vpc=network.vpc,
            vpc_subnets=network.data_subnets,
            security_group=self.product_group,
            encrypted=True,
            enable_automatic_backups=self._is_protected,
            lifecycle_policy=efs.LifecyclePolicy.AFTER_30_DAYS,
            allow_anonymous_access=False,
            removal_policy=self._removal,
        )
        self.product_system = system
        for role in ("code", "run"):
            system.connections.allow_default_port_from(network.groups[role])
        return system.add_access_point(
            "ProductsFolder",
            path="/products",
            create_acl=efs.Acl(owner_uid=str(USER_ID), owner_gid=str(USER_ID), permissions="750"),
            posix_user=efs.PosixUser(uid=str(USER_ID), gid=str(USER_ID)),
        )


def _to_intelligent_tiering(*, is_of_older_versions_too: bool) -> s3.LifecycleRule:
    class_ = s3.StorageClass.INTELLIGENT_TIERING
    older = s3.NoncurrentVersionTransition(storage_class=class_, transition_after=_RARELY_READ_AFTER)
    return s3.LifecycleRule(
        transitions=[s3.Transition(storage_class=class_, transition_after=_RARELY_READ_AFTER)],
        noncurrent_version_transitions=[older] if is_of_older_versions_too else None,
    )
