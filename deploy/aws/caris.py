"""The host of the licensed survey engine: how its image is made, as code, and a machine that is there only while it is used."""

from __future__ import annotations

import json

from aws_cdk import Aws, Duration, RemovalPolicy, Stack
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_imagebuilder as imagebuilder
from aws_cdk import aws_s3 as s3
from constructs import Construct

from deploy.aws.access import allow
from deploy.aws.cdk_helpers import waive
from deploy.aws.deployment import Deployment
from deploy.aws.network import Network
from deploy.aws.stores import Stores

TAG = "strandline:caris"
_TYPE = "m6i.2xlarge"
_DISK_GB = 300
_VERSION = "1.0.0"
_PARENT = "windows-server-2022-english-full-base-x86/x.x.x"
_FOLDER = "caris"
_WORK = r"C:\strandline"


class CarisHost(Construct):
    """EC2 Image Builder makes the image from the installer; `caris_ami` then says which image the host is made of.

    Nothing listens: commands come by Session Manager, which the host asks for itself. Runs may start and stop it by its
    tag, and no other machine; an alarm stops it when nobody has used it for two hours.
    """

    def __init__(
        self, scope: Construct, deployment: Deployment, network: Network, stores: Stores, run_role: iam.IRole
    ) -> None:
        super().__init__(scope, "Caris")
        self._deployment = deployment
        self.group = network.group("caris")
        self._make_image(network)
        if deployment.caris_ami:
            self._make_host(deployment.caris_ami, network, stores)
        for statement in self._runs_may():
            run_role.add_to_principal_policy(statement)

    def _make_image(self, network: Network) -> None:
        deployment = self._deployment
        bucket, _, key = (deployment.caris_installer or "").removeprefix("s3://").partition("/")
        role = iam.Role(
            self,
            "BuilderRole",
            assumed_by=iam.ServicePrincipal("ec2.amazonaws.com"),
            managed_policies=[
                iam.ManagedPolicy.from_aws_managed_policy_name("EC2InstanceProfileForImageBuilder"),
                iam.ManagedPolicy.from_aws_managed_policy_name("AmazonSSMManagedInstanceCore"),
            ],
        )
        role.add_to_policy(
            allow(["s3:GetObject"], [s3.Bucket.from_bucket_name(self, "Installer", bucket).arn_for_objects(key)])
        )
        profile = iam.CfnInstanceProfile(self, "BuilderProfile", roles=[role.role_name])
        name = f"{deployment.stack_name}-caris"
        component = imagebuilder.CfnComponent(
            self,
            "Component",
            name=name,
            platform="Windows",
            version=_VERSION,
            # JSON is YAML.
            data=json.dumps(_steps(bucket, key)),
        )
        waive(component, CKV_AWS_180="Its steps are these lines of code and hold nothing secret.")
        recipe = imagebuilder.CfnImageRecipe(
            self,
            "Recipe",
            name=name,
            version=_VERSION,
            parent_image=f"arn:{Aws.PARTITION}:imagebuilder:{Aws.REGION}:aws:image/{_PARENT}",
            components=[imagebuilder.CfnImageRecipe.ComponentConfigurationProperty(component_arn=component.attr_arn)],
            block_device_mappings=[
                imagebuilder.CfnImageRecipe.InstanceBlockDeviceMappingProperty(
                    device_name="/dev/sda1",
                    ebs=imagebuilder.CfnImageRecipe.EbsInstanceBlockDeviceSpecificationProperty(
                        volume_size=_DISK_GB, volume_type="gp3", encrypted=True, delete_on_termination=True
                    ),
                )
            ],
        )
        waive(recipe, CKV_AWS_200="Encrypted with the service's key, as every disk here.")
        infrastructure = imagebuilder.CfnInfrastructureConfiguration(
            self,
            "Infrastructure",
            name=name,
            instance_profile_name=profile.ref,
            instance_types=[_TYPE],
            subnet_id=network.vpc.select_subnets(subnet_type=network.task_subnets.subnet_type).subnet_ids[0],
            security_group_ids=[self.group.security_group_id],
            terminate_instance_on_failure=True,
            instance_metadata_options=imagebuilder.CfnInfrastructureConfiguration.InstanceMetadataOptionsProperty(
                http_tokens="required"
            ),
        )
        imagebuilder.CfnImagePipeline(
            self,
            "Pipeline",
            name=name,
            image_recipe_arn=recipe.attr_arn,
            infrastructure_configuration_arn=infrastructure.attr_arn,
            # By hand: a new image needs a person's look, and the licence may not move.
            status="ENABLED",
        )

    def _make_host(self, image: str, network: Network, stores: Stores) -> None:
        role = iam.Role(
            self,
            "HostRole",
            assumed_by=iam.ServicePrincipal("ec2.amazonaws.com"),
            managed_policies=[iam.ManagedPolicy.from_aws_managed_policy_name("AmazonSSMManagedInstanceCore")],
        )
        objects = [stores.ops.arn_for_objects(f"{_FOLDER}/*")]
        role.add_to_policy(allow(["s3:GetObject", "s3:PutObject"], objects))
        role.add_to_policy(
            allow(["s3:ListBucket"], [stores.ops.bucket_arn], {"StringLike": {"s3:prefix": f"{_FOLDER}/*"}})
        )
        region = Stack.of(self).region
        host = ec2.Instance(
            self,
            "Host",
            vpc=network.vpc,
            vpc_subnets=network.task_subnets,
            associate_public_ip_address=network.has_public_addresses,
            instance_type=ec2.InstanceType(_TYPE),
            machine_image=ec2.MachineImage.generic_windows({region: image}),
            security_group=self.group,
            role=role,
            require_imdsv2=True,
            ebs_optimized=True,
            detailed_monitoring=False,
            block_devices=[
                ec2.BlockDevice(
                    device_name="/dev/sda1",
                    volume=ec2.BlockDeviceVolume.ebs(_DISK_GB, volume_type=ec2.EbsDeviceVolumeType.GP3, encrypted=True),
                )
            ],
        )
        host.instance.apply_removal_policy(RemovalPolicy.DESTROY)
        host.instance.tags.set_tag(TAG, self._deployment.namespace)
        waive(
            host,
            CKV_AWS_126="Five minutes are often enough to know that nobody uses it.",
            CKV_AWS_88="Without NAT gateways an address is how it reaches Session Manager; its security group lets nothing in.",
        )
        idle = cloudwatch.Alarm(
            self,
            "Idle",
            alarm_name=f"{self._deployment.stack_name}-caris-idle",
            alarm_description="Nobody uses the CARIS host: it is stopped.",
            metric=cloudwatch.Metric(
                namespace="AWS/EC2",
                metric_name="CPUUtilization",
                dimensions_map={"InstanceId": host.instance_id},
                statistic="Maximum",
                period=Duration.minutes(15),
            ),
            threshold=3,
            comparison_operator=cloudwatch.ComparisonOperator.LESS_THAN_THRESHOLD,
            evaluation_periods=8,
            treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
        )
        idle.add_alarm_action(actions.Ec2Action(actions.Ec2InstanceAction.STOP))

    def _runs_may(self) -> list[iam.PolicyStatement]:
        ec2_base = f"arn:{Aws.PARTITION}:ec2:{Aws.REGION}:{Aws.ACCOUNT_ID}:instance/*"
        document = f"arn:{Aws.PARTITION}:ssm:{Aws.REGION}::document/AWS-RunPowerShellScript"
        tagged: dict[str, object] = {"StringEquals": {f"aws:ResourceTag/{TAG}": self._deployment.namespace}}
        return [
            allow(["ec2:StartInstances", "ec2:StopInstances"], [ec2_base], tagged),
            allow(["ssm:SendCommand"], [document]),
            allow(["ssm:SendCommand"], [ec2_base], tagged),
            # These take no resource.
            allow(["ec2:DescribeInstances", "ssm:GetCommandInvocation", "ssm:ListCommandInvocations"], ["*"]),
        ]


def _steps(bucket: str, key: str) -> dict[str, object]:
    """What makes a Windows Server a CARIS host: the installer, run without questions, and a folder for work. A licence is
    not part of the image."""
    local = rf"{_WORK}\installer.exe"
    script = [
        "$ErrorActionPreference = 'Stop'",
        f"$done = Start-Process -FilePath '{local}' -ArgumentList '/quiet','/norestart' -Wait -PassThru",
        'if ($done.ExitCode -notin 0, 3010) { throw "the installer ended with $($done.ExitCode)" }',
        f"Remove-Item '{local}'",
    ]
    check = [
        "$found = Get-ChildItem 'C:\\Program Files\\CARIS' -Recurse -Filter carisbatch.exe -ErrorAction SilentlyContinue",
        "if (-not $found) { throw 'carisbatch.exe is not below C:\\Program Files\\CARIS' }",
    ]
    return {
        "name": "caris",
        "schemaVersion": 1.0,
        "phases": [
            {
                "name": "build",
                "steps": [
                    {"name": "Folder", "action": "CreateFolder", "inputs": [{"path": _WORK}]},
                    {
                        "name": "Download",
                        "action": "S3Download",
                        "inputs": [{"source": f"s3://{bucket}/{key}", "destination": local}],
                    },
                    {"name": "Install", "action": "ExecutePowerShell", "inputs": {"commands": script}},
                ],
            },
            {
                "name": "validate",
                "steps": [{"name": "Check", "action": "ExecutePowerShell", "inputs": {"commands": check}}],
            },
        ],
    }
