"""A network without a way out: the receiver reaches S3 and what Fargate needs through VPC endpoints."""

from __future__ import annotations

from typing import Any, Final

from aws_cdk import Stack
from aws_cdk import aws_ec2 as ec2
from constructs import Construct

from config import StageConfig
from infra.constructs.log_group import log_group
from infra.constructs.permissions import acknowledge

GATEWAYS: Final = {
    "S3": ec2.GatewayVpcEndpointAwsService.S3,
    "DynamoDb": ec2.GatewayVpcEndpointAwsService.DYNAMODB,
}
# What Fargate needs to start a task: the image and the log stream.
INTERFACES: Final = {
    "EcrApi": ec2.InterfaceVpcEndpointAwsService.ECR,
    "EcrDocker": ec2.InterfaceVpcEndpointAwsService.ECR_DOCKER,
    "Logs": ec2.InterfaceVpcEndpointAwsService.CLOUDWATCH_LOGS,
}


class NetworkStack(Stack):
    """Two availability zones, private isolated subnets only, no internet or NAT gateway."""

    def __init__(self, scope: Construct, id_: str, *, config: StageConfig, **kwargs: Any) -> None:
        super().__init__(scope, id_, **kwargs)
        self.vpc = ec2.Vpc(
            self,
            "Vpc",
            max_azs=2,
            nat_gateways=0,
            create_internet_gateway=False,
            restrict_default_security_group=False,
            subnet_configuration=[
                ec2.SubnetConfiguration(name="private", subnet_type=ec2.SubnetType.PRIVATE_ISOLATED, cidr_mask=24)
            ],
        )
        group = log_group(self, "FlowLogs", config=config)
        self.vpc.add_flow_log("FlowLog", destination=ec2.FlowLogDestination.to_cloud_watch_logs(group))
        for name, gateway in GATEWAYS.items():
            self.vpc.add_gateway_endpoint(name, service=gateway)
        for name, interface in INTERFACES.items():
            endpoint = self.vpc.add_interface_endpoint(name, service=interface)
            acknowledge(endpoint, "AwsSolutions-EC23", "the range is the network's own (Fn::GetAtt CidrBlock)")
