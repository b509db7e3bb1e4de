"""A person's label CSV: what is accepted, what is refused and how, and what leaves the machine."""

from __future__ import annotations

from pathlib import Path

import boto3
import pytest
from moto import mock_aws
from pydicom.data import get_testdata_file

from ahiflow.cli.labels import identify_instance, parse_train_when
from ahiflow.errors import InvalidLabelsError
from ahiflow.label_csv import InstanceIdentity, LabelRow, build_label_table, parse_label_csv
from ahiflow.labels import LabelTable, WhenComplete, WhenEnough, find_labels, put_labels
from ahiflow.object_store import ObjectStore
from ahiflow.pseudonym import Pseudonyms
from tests.learning_support import KEY

UID_A, UID_B = "1.2.3.4", "1.2.3.5"


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "labels.csv"
    path.write_text(text)
    return path


def by_uid(row: LabelRow) -> InstanceIdentity:
    return InstanceIdentity(row.sop_instance_uid or "", None)


def table_of(path: Path) -> LabelTable:
    return build_label_table(parse_label_csv(path), by_uid, Pseudonyms(KEY).sop_instance, WhenComplete())


def test_labels_are_stored_by_keyed_hash_and_no_uid_or_patient_leaves(tmp_path: Path) -> None:
    path = write(tmp_path, f"sop_instance_uid,label_lesion,patient\n{UID_A},1,SMITH\n{UID_B},0,JONES\n")
    table = table_of(path)
    pseudonyms = Pseudonyms(KEY)
    assert table.labels == {pseudonyms.sop_instance(UID_A): 1, pseudonyms.sop_instance(UID_B): 0}
    assert table.class_names == ("no lesion", "lesion")
    text = table.canonical_json().decode()
    assert not any(word in text for word in (UID_A, UID_B, "SMITH", "JONES"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("file,lable_lesion\na.dcm,1\n", "labels.csv: unknown column 'lable_lesion'"),
        ("file,label_a,label_b\na.dcm,1,0\n", "labels.csv: 2 label columns"),
        ("file\na.dcm\n", "labels.csv: 0 label columns"),
        ("label_lesion\n1\n", "labels.csv: exactly one of the columns file and sop_instance_uid"),
        ("file,label_lesion,label_lesion\na.dcm,1,1\n", "labels.csv: a column occurs twice"),
        ("file,label_lesion\na.dcm,\n", "labels.csv, line 2, column label_lesion: '' is not 0 or 1"),
        ("file,label_lesion\na.dcm,1\nb.dcm,yes\n", "labels.csv, line 3, column label_lesion: 'yes' is not 0 or 1"),
        ("file,label_lesion\na.dcm,1.0\n", "labels.csv, line 2, column label_lesion: '1.0' is not 0 or 1"),
        ("file,label_lesion\na.dcm\n", "labels.csv, line 2: 1 fields, expected 2"),
        ("sop_instance_uid,label_lesion\nabc,1\n", "labels.csv, line 2, column sop_instance_uid: not a UID"),
        ("file,label_lesion\n", "labels.csv: no labels in it"),
        ("", "labels.csv: 0 label columns"),
    ],
)
def test_what_cannot_be_used_is_refused_in_one_line_naming_the_place(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(InvalidLabelsError) as caught:
        parse_label_csv(write(tmp_path, text))
    assert str(caught.value).startswith(said)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(InvalidLabelsError, match="not a UTF-8 text file"):
        parse_label_csv(path)


def test_the_same_instance_twice_must_have_the_same_label(tmp_path: Path) -> None:
    header = "sop_instance_uid,label_lesion\n"
    assert len(table_of(write(tmp_path, f"{header}{UID_A},1\n{UID_A},1\n")).labels) == 1
    with pytest.raises(InvalidLabelsError, match="line 3: label 0 for the instance that line 2 labels 1"):
        table_of(write(tmp_path, f"{header}{UID_A},1\n{UID_A},0\n"))


def test_a_patient_whose_images_carry_two_patient_ids_is_refused_without_naming_him(tmp_path: Path) -> None:
    path = write(tmp_path, f"sop_instance_uid,label_lesion,patient\n{UID_A},1,SMITH\n{UID_B},0,SMITH\n")
    ids = {UID_A: "ID1", UID_B: "ID2"}

    def identify(row: LabelRow) -> InstanceIdentity:
        return InstanceIdentity(row.sop_instance_uid or "", ids[row.sop_instance_uid or ""])

    with pytest.raises(InvalidLabelsError) as caught:
        build_label_table(parse_label_csv(path), identify, Pseudonyms(KEY).sop_instance, WhenComplete())
    assert "line 3, column patient" in str(caught.value)
    assert not any(word in str(caught.value) for word in ("SMITH", "ID1", "ID2"))


def test_files_are_identified_by_their_own_uid_and_unreadable_ones_named(tmp_path: Path) -> None:
    ct = Path(str(get_testdata_file("CT_small.dcm")))
    row = LabelRow(2, "CT_small.dcm", None, 1, None)
    assert identify_instance("labels.csv", row, ct.parent).sop_instance_uid.startswith("1.3.6.1.4.1.5962")
    (tmp_path / "text.dcm").write_text("not DICOM")
    with pytest.raises(InvalidLabelsError, match=r"labels.csv, line 3: text.dcm: not a readable DICOM file"):
        identify_instance("labels.csv", LabelRow(3, "text.dcm", None, 1, None), tmp_path)
    with pytest.raises(InvalidLabelsError, match=r"labels.csv, line 4: gone.dcm: no such file"):
        identify_instance("labels.csv", LabelRow(4, "gone.dcm", None, 1, None), tmp_path)


def test_the_policy_is_complete_or_a_positive_number() -> None:
    assert parse_train_when("complete") == WhenComplete()
    assert parse_train_when("5") == WhenEnough(minimum_new_image_sets=5)
    for text in ("0", "-1", "soon", ""):
        with pytest.raises(InvalidLabelsError, match="--train-when"):
            parse_train_when(text)


@pytest.fixture
def store() -> object:
    with mock_aws():
        s3 = boto3.client("s3", region_name="us-east-1")
        s3.create_bucket(Bucket="artifacts")
        yield ObjectStore(s3, "artifacts")


def test_a_table_survives_storage_and_is_named_by_its_content(tmp_path: Path, store: ObjectStore) -> None:
    assert find_labels(store) is None
    table = table_of(write(tmp_path, f"sop_instance_uid,label_lesion\n{UID_A},1\n{UID_B},0\n"))
    sha256 = put_labels(store, table)
    assert find_labels(store) == table
    other = write(tmp_path, f"sop_instance_uid,label_lesion\n{UID_B},0\n{UID_A},1\n")
    assert put_labels(store, table_of(other)) == sha256, "the order of rows must not matter"


def test_a_table_that_was_changed_under_its_name_is_refused(tmp_path: Path, store: ObjectStore) -> None:
    sha256 = put_labels(store, table_of(write(tmp_path, f"sop_instance_uid,label_lesion\n{UID_A},1\n")))
    key = f"labels/{sha256}.json"
    store.put(key, store.get(key).body.replace(b'"complete":true', b'"minimum_new_image_sets":1'))
    with pytest.raises(InvalidLabelsError, match="not what its name says"):
        find_labels(store)


def test_the_command_puts_and_shows_labels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from ahiflow.cli.main import main
    from ahiflow.settings import CommandSettings

    for name in CommandSettings.required_names():
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("AHIFLOW_ARTIFACTS_BUCKET_NAME", "artifacts")
    monkeypatch.setenv("AHIFLOW_PSEUDONYM_SECRET_ID", "key")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    folder = Path(str(get_testdata_file("CT_small.dcm"))).parent
    good = write(tmp_path, "file,label_lesion\nCT_small.dcm,1\nMR_small.dcm,0\n")
    with mock_aws():
        boto3.client("s3").create_bucket(Bucket="artifacts")
        boto3.client("secretsmanager").create_secret(Name="key", SecretString=KEY.decode())
        with pytest.raises(SystemExit) as shown:
            main(["labels", "show"])
        assert shown.value.code == 1
        assert "no labels are in force" in capsys.readouterr().err
        with pytest.raises(SystemExit) as done:
            main(["labels", "put", str(good), "--images", str(folder), "--train-when", "3"])
        assert done.value.code == 0
        assert "2 labelled instances of 'lesion'" in capsys.readouterr().out
        bad = write(tmp_path, "file,lesion\nCT_small.dcm,1\n")
        with pytest.raises(SystemExit) as refused:
            main(["labels", "put", str(bad), "--images", str(folder)])
        assert refused.value.code == 1
        assert capsys.readouterr().err == (
            "ahiflow: labels.csv: unknown column 'lesion' "
            "(expected: file or sop_instance_uid, label_<name>, and optionally patient)\n"
        )
        table = find_labels(ObjectStore(boto3.client("s3"), "artifacts"))
        assert table is not None
        assert table.train_when == WhenEnough(minimum_new_image_sets=3)
