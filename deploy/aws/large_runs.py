"""Machines for runs beyond Fargate's sizes. None is there, and none costs anything, while no such run is."""

from __future__ import annotations

from aws_cdk import CfnTag, Fn
from aws_cdk import aws_autoscaling as autoscaling
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_iam as iam
from constructs import Construct

from deploy.aws.cdk_helpers import waive
from deploy.aws.deployment import Deployment
from deploy.aws.network import Network

TYPES = ("r6i.8xlarge", "r5.8xlarge", "m6i.16xlarge", "m5.16xlarge")
"""256 GiB each, so that ECS may take whichever there is. Fargate ends at 16 vCPUs and 120 GiB."""
_DISK_GB = 200


class LargeRuns(Construct):
    """An autoscaling group that ECS sizes by the runs that wait for it, and empties when they are done."""

    def __init__(self, scope: Construct, deployment: Deployment, network: Network) -> None:
        super().__init__(scope, "LargeRuns")
        role = iam.Role(
            self,
            "Role",
            assumed_by=iam.ServicePrincipal("ec2.amazonaws.com"),
            managed_policies=[
                iam.ManagedPolicy.from_aws_managed_policy_name("service-role/AmazonEC2ContainerServiceforEC2Role"),
                iam.ManagedPolicy.from_aws_managed_policy_name("AmazonSSMManagedInstanceCore"),
            ],
        )
        profile = iam.CfnInstanceProfile(self, "InstanceProfile", roles=[role.role_name])
        cluster = deployment.stack_name
        start = "\n".join(
            [
                "#!/bin/bash",
                f"echo ECS_CLUSTER={cluster} >> /etc/ecs/ecs.config",
                # A run's own role is all that it gets: not the machine's.
                "echo ECS_AWSVPC_BLOCK_IMDS=true >> /etc/ecs/ecs.config",
                "echo ECS_ENABLE_SPOT_INSTANCE_DRAINING=true >> /etc/ecs/ecs.config",
            ]
        )
        template = ec2.CfnLaunchTemplate(
            self,
            "Template",
            launch_template_data=ec2.CfnLaunchTemplate.LaunchTemplateDataProperty(
                image_id=ecs.EcsOptimizedImage.amazon_linux2023().get_image(self).image_id,
                instance_type=TYPES[0],
                iam_instance_profile=ec2.CfnLaunchTemplate.IamInstanceProfileProperty(arn=profile.attr_arn),
                security_group_ids=[network.groups["run"].security_group_id],
                user_data=Fn.base64(start),
                metadata_options=ec2.CfnLaunchTemplate.MetadataOptionsProperty(
                    http_tokens="required", http_put_response_hop_limit=1
                ),
                monitoring=ec2.CfnLaunchTemplate.MonitoringProperty(enabled=False),
                block_device_mappings=[
                    ec2.CfnLaunchTemplate.BlockDeviceMappingProperty(
                        device_name="/dev/xvda",
                        ebs=ec2.CfnLaunchTemplate.EbsProperty(
                            volume_size=_DISK_GB, volume_type="gp3", encrypted=True, delete_on_termination=True
                        ),
                    )
                ],
            ),
        )
        group = autoscaling.CfnAutoScalingGroup(
            self,
            "Group",
            min_size="0",
            max_size=str(deployment.profile.large_runs),
            vpc_zone_identifier=network.vpc.select_subnets(subnet_type=network.task_subnets.subnet_type).subnet_ids,
            new_instances_protected_from_scale_in=True,
            mixed_instances_policy=autoscaling.CfnAutoScalingGroup.MixedInstancesPolicyProperty(
                launch_template=autoscaling.CfnAutoScalingGroup.LaunchTemplateProperty(
                    launch_template_specification=autoscaling.CfnAutoScalingGroup.LaunchTemplateSpecificationProperty(
                        launch_template_id=template.ref, version=template.attr_latest_version_number
                    ),
                    overrides=[
                        autoscaling.CfnAutoScalingGroup.LaunchTemplateOverridesProperty(instance_type=one)
                        for one in TYPES
                    ],
                ),
                # A run that needs such a machine is hours long; it is not for Spot.
                instances_distribution=autoscaling.CfnAutoScalingGroup.InstancesDistributionProperty(
                    on_demand_percentage_above_base_capacity=100
                ),
            ),
            tags=[
                autoscaling.CfnAutoScalingGroup.TagPropertyProperty(key=key, value=value, propagate_at_launch=True)
                for key, value in (("AmazonECSManaged", "true"), ("Name", f"{cluster}-large-run"))
            ],
        )
        waive(
            group, CKV_AWS_153="The tags are on it and go to its machines; the check looks for those of another syntax."
        )
        self.provider = ecs.CfnCapacityProvider(
            self,
            "Provider",
            name=f"{cluster}-large",
            auto_scaling_group_provider=ecs.CfnCapacityProvider.AutoScalingGroupProviderProperty(
                auto_scaling_group_arn=group.ref,
                managed_scaling=ecs.CfnCapacityProvider.ManagedScalingProperty(
                    status="ENABLED", target_capacity=100, maximum_scaling_step_size=deployment.profile.large_runs
                ),
                managed_termination_protection="ENABLED",
                managed_draining="ENABLED",
            ),
            tags=[CfnTag(key="strandline-namespace", value=deployment.namespace)],
        )
