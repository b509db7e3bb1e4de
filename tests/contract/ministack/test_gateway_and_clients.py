"""What a client sees at the door: binary answers untouched, strangers refused, the aws command at home."""

from __future__ import annotations

import gzip
import json
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from botocore.exceptions import ClientError
from localcloud_fixtures import BareCloud, run

STORE = "0" * 32


def test_binary_answers_pass_untouched(bare_cloud: BareCloud) -> None:
    imaging = bare_cloud.client("medical-imaging")
    answer = imaging.get_image_frame(datastoreId=STORE, imageSetId=STORE, imageFrameInformation={"imageFrameId": STORE})
    assert answer["imageFrameBlob"].read() == bytes(range(256)) * 4096
    assert answer["contentType"] == "application/octet-stream"
    answer = imaging.get_image_set_metadata(datastoreId=STORE, imageSetId=STORE, versionId="7")
    assert answer["contentEncoding"] == "gzip"
    document = json.loads(gzip.decompress(answer["imageSetMetadataBlob"].read()))
    assert document == {"version": ["7"], "body": 0}


def test_a_defect_of_a_service_is_an_error_without_its_text(bare_cloud: BareCloud) -> None:
    with pytest.raises(ClientError) as refused:
        bare_cloud.client("medical-imaging").delete_datastore(datastoreId=STORE)
    assert refused.value.response["Error"]["Code"] == "InternalServerException"
    assert "KeyError" in str(refused.value)
    assert "PATIENT" not in str(refused.value)


@pytest.mark.parametrize("service", ["ec2", "rds", "sagemaker", "states", "redshift-data"])
def test_services_that_nobody_hosts_are_refused_by_name(bare_cloud: BareCloud, service: str) -> None:
    act = {
        "ec2": lambda client: client.describe_vpcs(),
        "rds": lambda client: client.describe_db_instances(),
        "sagemaker": lambda client: client.list_pipelines(),
        "states": lambda client: client.list_state_machines(),
        "redshift-data": lambda client: client.list_statements(),
    }[service]
    name = "stepfunctions" if service == "states" else service
    with pytest.raises(ClientError, match=f"does not host the service that signs as '{service}'") as refused:
        act(bare_cloud.client(name))
    assert refused.value.response["Error"]["Code"] == "UnsupportedService"


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/", {}),
        ("/bucket/key", {"Origin": "https://a-web-page.example"}),
        ("/bucket/key", {"Host": "rebound.example:80"}),
        ("/_ministack/reset", {"Authorization": "AWS4-HMAC-SHA256 Credential=a/20260101/us-east-1/s3/aws4_request"}),
    ],
    ids=["unsigned", "from a web page", "rebound name", "the emulator's reset"],
)
def test_strangers_get_nothing(bare_cloud: BareCloud, path: str, headers: dict[str, str]) -> None:
    bare_cloud.client("s3").create_bucket(Bucket="bucket")
    bare_cloud.client("s3").put_object(Bucket="bucket", Key="key", Body=b"x")
    request = urllib.request.Request(f"http://127.0.0.1:{bare_cloud.port}{path}", headers=headers)
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=10)
    assert refused.value.code == 403
    assert bare_cloud.client("s3").get_object(Bucket="bucket", Key="key")["Body"].read() == b"x"


def test_presigned_urls_work(bare_cloud: BareCloud) -> None:
    s3 = bare_cloud.client("s3")
    s3.create_bucket(Bucket="presigned")
    s3.put_object(Bucket="presigned", Key="key", Body=b"x")
    url = s3.generate_presigned_url("get_object", Params={"Bucket": "presigned", "Key": "key"})
    with urllib.request.urlopen(url, timeout=10) as answer:
        assert answer.read() == b"x"


def test_the_aws_command_works(bare_cloud: BareCloud, tmp_path: Path) -> None:
    def aws(*arguments: str) -> str:
        done = run([str(Path(sys.executable).with_name("aws")), *arguments], bare_cloud.variables)
        assert done.returncode == 0, done.stderr
        return done.stdout

    (tmp_path / "one.txt").write_text("one")
    aws("s3", "mb", "s3://command")
    aws("s3", "cp", str(tmp_path / "one.txt"), "s3://command/a/one.txt")
    assert aws("s3", "cp", "s3://command/a/one.txt", "-") == "one"
    key = json.loads(aws("kms", "create-key", "--key-usage", "SIGN_VERIFY", "--key-spec", "ECC_NIST_P256"))
    assert key["KeyMetadata"]["KeySpec"] == "ECC_NIST_P256"
    assert json.loads(aws("dynamodb", "list-tables"))["TableNames"] == []
    account = json.loads(aws("sts", "get-caller-identity"))["Account"]
    assert account == "123456789012"
