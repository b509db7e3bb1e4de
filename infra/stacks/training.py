"""The SageMaker pipeline with the committed definition, its images and roles, and the model package group."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from aws_cdk import CfnOutput, RemovalPolicy, Stack
from aws_cdk import aws_ecr_assets as ecr_assets
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sagemaker as sagemaker
from constructs import Construct

from ahiflow import keys, pipeline_definition
from ahiflow import pipeline_contract as contract
from config import StageConfig, parameter_defaults
from infra.constructs.permissions import Permission, grant
from infra.names import fill, fill_all, names_of

_ECR_TOKEN = "ecr:GetAuthorizationToken has no resource"
_LOG_GROUPS = ("ProcessingJobs", "TrainingJobs", "Endpoints")


class TrainingStack(Stack):
    """The pipeline role starts jobs; the execution role is what the jobs may do; the serving role is the endpoint's."""

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        config: StageConfig,
        datastore_id: str,
        data_key: kms.IKey,
        image_folders: dict[str, Path],
        pipeline_json: Path,
        **kwargs: Any,
    ) -> None:
        super().__init__(scope, id_, **kwargs)
        self._config = config
        self._names = names_of(config)
        self._data_key = data_key
        self._images = {
            name: ecr_assets.DockerImageAsset(
                self, name.capitalize(), directory=str(folder), platform=ecr_assets.Platform.LINUX_AMD64
            )
            for name, folder in image_folders.items()
        }
        group = sagemaker.CfnModelPackageGroup(
            self,
            "ModelPackageGroup",
            model_package_group_name=config.model_package_group_name,
            model_package_group_description="models that passed the quality gate",
        )
        group.apply_removal_policy(RemovalPolicy.RETAIN if config.retain_data else RemovalPolicy.DESTROY)
        execution_role = self._execution_role(datastore_id)
        self._serving_role()
        pipeline_role = self._pipeline_role(execution_role)
        pipeline = self._pipeline(pipeline_json, pipeline_role, execution_role)
        pipeline.add_resource_dependency(group)
        CfnOutput(self, "PipelineArn", value=fill(self._names.pipeline_arn))
        CfnOutput(self, "PipelineName", value=config.pipeline_name)
        CfnOutput(self, "ModelPackageGroupName", value=config.model_package_group_name)
        CfnOutput(self, "ServingRoleArn", value=fill(self._names.role_arn("serving")))

    def _pipeline(self, path: Path, pipeline_role: iam.Role, execution_role: iam.Role) -> sagemaker.CfnPipeline:
        values = self._names.pipeline_placeholders(
            role_arn=execution_role.role_arn,
            fetcher_image_uri=self._images[contract.IMAGE_FETCHER].image_uri,
            learning_image_uri=self._images[contract.IMAGE_LEARNING].image_uri,
        )
        body = pipeline_definition.deployed(
            pipeline_definition.load(path),
            defaults=parameter_defaults(self._config),
            use_spot=self._config.training_use_spot,
            values=fill_all(values),
        )
        pipeline = sagemaker.CfnPipeline(
            self,
            "Pipeline",
            pipeline_name=self._config.pipeline_name,
            pipeline_definition={"PipelineDefinitionBody": self.to_json_string(body)},
            role_arn=pipeline_role.role_arn,
        )
        # The service checks at creation that it may assume the role and pass the other: the policies come first.
        pipeline.node.add_dependency(pipeline_role, execution_role)
        return pipeline

    def _pipeline_role(self, execution_role: iam.Role) -> iam.Role:
        names = self._names
        role = iam.Role(self, "PipelineRole", role_name=names.role("pipeline"), assumed_by=_sagemaker(self.account))
        bucket = names.artifacts_bucket
        jobs = [names.sagemaker_arn(kind, "pipelines-*") for kind in ("processing-job", "training-job")]
        packages = [
            names.sagemaker_arn("model-package-group", self._config.model_package_group_name),
            names.sagemaker_arn("model-package", f"{self._config.model_package_group_name}/*"),
        ]
        job_actions = [
            f"sagemaker:{verb}{kind}Job"
            for verb in ("Create", "Describe", "Stop")
            for kind in ("Processing", "Training")
        ]
        passed = {"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}}
        grant(
            role,
            [
                Permission([*job_actions, "sagemaker:AddTags"], jobs, "Pipelines names the jobs itself: pipelines-..."),
                Permission(
                    ["sagemaker:CreateModelPackage", "sagemaker:DescribeModelPackage", "sagemaker:AddTags"],
                    packages,
                    "versions of one model package group",
                ),
                Permission(
                    ["s3:GetObject"], [names.bucket_arn(bucket, f"{keys.EXECUTIONS}*")], "property files of executions"
                ),
                Permission(["iam:PassRole"], [execution_role.role_arn], conditions=passed),
                Permission(["kms:Decrypt"], [self._data_key.key_arn]),
            ],
        )
        return role

    def _execution_role(self, datastore_id: str) -> iam.Role:
        names = self._names
        role = iam.Role(self, "ExecutionRole", role_name=names.role("execution"), assumed_by=_sagemaker(self.account))
        bucket = names.artifacts_bucket
        read = [keys.IMAGE_SETS, keys.LABELS, keys.CURATED_IMAGE_SETS, keys.DATASETS, keys.EXECUTIONS]
        write = [keys.IMAGE_SETS, keys.CURATED_IMAGE_SETS, keys.DATASETS, keys.EXECUTIONS]
        grant(
            role,
            [
                Permission(
                    [
                        "medical-imaging:GetImageSet",
                        "medical-imaging:GetImageSetMetadata",
                        "medical-imaging:GetImageFrame",
                    ],
                    [f"{names.datastore_arn(datastore_id)}/imageset/*"],
                    "image sets come and go; the data store is fixed",
                ),
                Permission(
                    ["sagemaker:DescribePipelineExecution"],
                    [f"{names.pipeline_arn}/execution/*"],
                    "curation asks whether the execution that holds the dataset's claim still runs",
                ),
                Permission(["s3:ListBucket"], [names.bucket_arn(bucket)]),
                Permission(
                    ["s3:GetObject"], [names.bucket_arn(bucket, f"{prefix}*") for prefix in read], "what the steps read"
                ),
                Permission(
                    ["s3:PutObject", "s3:AbortMultipartUpload"],
                    [names.bucket_arn(bucket, f"{prefix}*") for prefix in write],
                    "what the steps write",
                ),
                Permission(
                    ["secretsmanager:GetSecretValue"],
                    [_secret_arn(self, names.pseudonym_secret)],
                    "Secrets Manager ends an ARN with six random characters",
                ),
                Permission(["kms:Decrypt", "kms:GenerateDataKey"], [self._data_key.key_arn]),
                *self._image_and_log_permissions(),
            ],
        )
        return role

    def _serving_role(self) -> None:
        names = self._names
        role = iam.Role(self, "ServingRole", role_name=names.role("serving"), assumed_by=_sagemaker(self.account))
        grant(
            role,
            [
                Permission(
                    ["s3:GetObject"],
                    [names.bucket_arn(names.artifacts_bucket, f"{keys.EXECUTIONS}*")],
                    "model artefacts lie under the execution that made them",
                ),
                Permission(["kms:Decrypt"], [self._data_key.key_arn]),
                *self._image_and_log_permissions(),
            ],
        )

    def _image_and_log_permissions(self) -> list[Permission]:
        pull = ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer", "ecr:BatchCheckLayerAvailability"]
        repositories = {image.repository.repository_name: image for image in self._images.values()}
        groups = [self._names.log_group_arn(f"/aws/sagemaker/{group}") for group in _LOG_GROUPS]
        return [
            Permission(["ecr:GetAuthorizationToken"], ["*"], _ECR_TOKEN),
            Permission(pull, [image.repository.repository_arn for image in repositories.values()]),
            Permission(
                ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents", "logs:DescribeLogStreams"],
                groups,
                "SageMaker names the streams after its jobs",
            ),
            Permission(
                ["cloudwatch:PutMetricData"],
                ["*"],
                "PutMetricData has no resource; the namespace is fixed by the condition",
                {"StringLike": {"cloudwatch:namespace": "/aws/sagemaker/*"}},
            ),
        ]


def _sagemaker(account: str) -> iam.ServicePrincipal:
    return iam.ServicePrincipal("sagemaker.amazonaws.com", conditions={"StringEquals": {"aws:SourceAccount": account}})


def _secret_arn(stack: Stack, name: str) -> str:
    return f"arn:{{partition}}:secretsmanager:{stack.region}:{{account}}:secret:{name}-*"
