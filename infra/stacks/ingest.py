"""The receiver: a Fargate service behind an internal network load balancer, reachable from the given networks only."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from aws_cdk import CfnOutput, Duration, Stack
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ecr_assets as ecr_assets
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_elasticloadbalancingv2 as elb
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from constructs import Construct

from ahiflow import keys
from ahiflow.settings import StoreScpSettings
from config import StageConfig
from infra.constructs.log_group import log_group
from infra.constructs.permissions import Permission, acknowledge, grant
from infra.names import names_of

# Fargate's longest; StoreScpSettings.stop_timeout_seconds stays below it.
STOP_TIMEOUT: Final = Duration.seconds(120)


class IngestStack(Stack):
    """``load_balancer_dns_name`` is where modalities and the PACS send to."""

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        config: StageConfig,
        vpc: ec2.IVpc,
        data_key: kms.IKey,
        image_folder: Path,
        **kwargs: Any,
    ) -> None:
        super().__init__(scope, id_, **kwargs)
        self._config = config
        self._vpc = vpc
        task = self._task(image_folder, data_key)
        service = self._service(task)
        balancer = self._balancer(service)
        CfnOutput(self, "DicomHost", value=balancer.load_balancer_dns_name)
        CfnOutput(self, "DicomPort", value=str(config.dicom_port))
        CfnOutput(self, "CalledAeTitle", value=config.called_ae_title)

    def _task(self, image_folder: Path, data_key: kms.IKey) -> ecs.FargateTaskDefinition:
        config, names = self._config, names_of(self._config)
        role = iam.Role(self, "TaskRole", assumed_by=iam.ServicePrincipal("ecs-tasks.amazonaws.com"))
        ingest = names.ingest_bucket
        grant(
            role,
            [
                Permission(
                    ["s3:PutObject"],
                    [names.bucket_arn(ingest, f"{prefix}*") for prefix in (keys.INSTANCES, keys.BATCHES)],
                    "every received instance is a key of its own",
                ),
                # After a crash the receiver closes the batches that it left open: it lists and reads its own instances.
                Permission(["s3:ListBucket"], [names.bucket_arn(ingest)]),
                Permission(
                    ["s3:GetObject"],
                    [names.bucket_arn(ingest, f"{keys.INSTANCES}*")],
                    "instances of batches that a crash left open",
                ),
                Permission(["kms:GenerateDataKey", "kms:Decrypt"], [data_key.key_arn]),
            ],
        )
        task = ecs.FargateTaskDefinition(
            self, "Task", cpu=config.storescp_cpu, memory_limit_mib=config.storescp_memory_mib, task_role=role
        )
        image = ecr_assets.DockerImageAsset(
            self, "Image", directory=str(image_folder), platform=ecr_assets.Platform.LINUX_AMD64
        )
        task.add_container(
            "storescp",
            image=ecs.ContainerImage.from_docker_image_asset(image),
            environment=self._environment(),
            logging=ecs.LogDrivers.aws_logs(stream_prefix="storescp", log_group=log_group(self, "Logs", config=config)),
            port_mappings=[ecs.PortMapping(container_port=config.dicom_port)],
            stop_timeout=STOP_TIMEOUT,
        )
        reason = "ecr:GetAuthorizationToken has no resource; the rest of the task's own execution role is scoped"
        acknowledge(task, "AwsSolutions-IAM5[Resource::*]", reason)
        acknowledge(task, "AwsSolutions-ECS2", "the variables are names and numbers; the receiver has no secret")
        return task

    def _environment(self) -> dict[str, str]:
        values = {
            "INGEST_BUCKET_NAME": names_of(self._config).ingest_bucket.replace("{account}", self.account),
            "CALLED_AE_TITLE": self._config.called_ae_title,
            "DICOM_HOST": "0.0.0.0",  # the container's own interface; the security group decides who reaches it
            "DICOM_PORT": str(self._config.dicom_port),
        }
        if not StoreScpSettings.required_names() <= values.keys() <= StoreScpSettings.names():
            raise ValueError("the receiver's variables are not those of StoreScpSettings")
        return values

    def _service(self, task: ecs.FargateTaskDefinition) -> ecs.FargateService:
        cluster = ecs.Cluster(self, "Cluster", vpc=self._vpc, container_insights_v2=ecs.ContainerInsights.ENABLED)
        return ecs.FargateService(
            self,
            "Service",
            cluster=cluster,
            task_definition=task,
            desired_count=self._config.storescp_tasks,
            min_healthy_percent=100,
            max_healthy_percent=200,
            assign_public_ip=False,
            vpc_subnets=ec2.SubnetSelection(subnet_type=ec2.SubnetType.PRIVATE_ISOLATED),
            circuit_breaker=ecs.DeploymentCircuitBreaker(rollback=True),
        )

    def _balancer(self, service: ecs.FargateService) -> elb.NetworkLoadBalancer:
        config = self._config
        port = ec2.Port.tcp(config.dicom_port)
        group = ec2.SecurityGroup(self, "BalancerGroup", vpc=self._vpc, allow_all_outbound=False)
        for cidr in config.allowed_dicom_cidrs:
            group.add_ingress_rule(ec2.Peer.ipv4(cidr), port, "DICOM from the hospital")
        group.add_egress_rule(ec2.Peer.ipv4(self._vpc.vpc_cidr_block), port, "to the receiver")
        balancer = elb.NetworkLoadBalancer(
            self,
            "Balancer",
            vpc=self._vpc,
            internet_facing=False,
            cross_zone_enabled=True,
            security_groups=[group],
            vpc_subnets=ec2.SubnetSelection(subnet_type=ec2.SubnetType.PRIVATE_ISOLATED),
        )
        listener = balancer.add_listener("Dicom", port=config.dicom_port)
        listener.add_targets(
            "Receiver",
            port=config.dicom_port,
            targets=[service],
            deregistration_delay=STOP_TIMEOUT,
            health_check=elb.HealthCheck(protocol=elb.Protocol.TCP, interval=Duration.seconds(10)),
        )
        service.connections.allow_from(group, port, "DICOM through the load balancer")
        acknowledge(
            balancer, "AwsSolutions-ELB2", "a network load balancer logs TLS connections only; flow logs are on"
        )
        return balancer
