"""Headers of a series without its pixels."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.training.dicom.made_series import made_series, write
from training.dicom.headers import SourceHeaders
from training.dicom.read import source_headers
from training.errors import InputError


def test_headers_are_in_the_order_of_the_slices_and_survive_json(tmp_path: Path) -> None:
    instances = made_series("t2", PatientName="Müller^Jürgen")
    headers = source_headers(write(instances[::-1], tmp_path))
    again = SourceHeaders.from_json(headers.to_json())
    for one, other, instance in zip(headers.datasets, again.datasets, instances, strict=True):
        assert one == other
        assert one.SOPInstanceUID == instance.SOPInstanceUID
        assert one.ImagePositionPatient == instance.ImagePositionPatient
        assert str(one.PatientName) == "Müller^Jürgen"
        assert "PixelData" not in one


def test_private_and_binary_attributes_are_left_out(tmp_path: Path) -> None:
    instances = made_series("t2")
    for instance in instances:
        block = instance.private_block(0x0019, "SECRET", create=True)
        block.add_new(1, "OB", bytes(1000))
        instance.add_new(0x00280303, "OW", bytes(1000))
    headers = source_headers(write(instances, tmp_path))
    assert "SECRET" not in headers.to_json()
    assert 0x00280303 not in headers.datasets[0]


def test_what_all_instances_share_is_written_once(tmp_path: Path) -> None:
    text = source_headers(write(made_series("t2"), tmp_path)).to_json()
    assert text.count("Doe^Jane") == 1


@pytest.mark.parametrize("text", ["", "{}", "[]", json.dumps({"format": "another"}), "null"])
def test_another_text_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="no DICOM headers"):
        SourceHeaders.from_json(text)
