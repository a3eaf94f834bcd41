"""What clinical archives hold beside four clean series: each is read correctly, repaired and told, ignored, or refused.

The table in docs/raw.md, section "DICOM", has a row for each.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.uid import JPEG2000Lossless, JPEGLosslessSV1, JPEGLSLossless, RLELossless, generate_uid

from tests.training.dicom.made_series import (
    AXIAL,
    SAGITTAL,
    Study,
    empty_instance,
    made_multi_frame,
    made_series,
    made_study,
    set_pixels,
    voxels,
    write,
    write_study,
)
from training.dicom.choose import choose
from training.dicom.read import read_grid, read_instances, source_headers
from training.dicom.series import Series, find_series
from training.errors import InputError
from training.images.grid import Volume


def only(folder: Path) -> Series:
    (series,) = find_series(folder)
    return series


def read(series: Series) -> Volume:
    assert not series.problem
    return read_instances(series.instances, series.part)


def test_any_file_names_in_any_folders_are_found(tmp_path: Path) -> None:
    instances = made_series("t2")
    write(instances[:4], tmp_path / "A" / "DEEP" / "1.2.840", "IM{:06d}")
    write(instances[4:], tmp_path / "B", "{:d}.ima")
    np.testing.assert_array_equal(read(only(tmp_path)).data, voxels().T)


def test_a_file_without_preamble_is_read(tmp_path: Path) -> None:
    for path in write(made_series("t2"), tmp_path):
        plain = pydicom.dcmread(path)
        del plain.file_meta
        plain.preamble = None
        plain.is_implicit_VR = True
        plain.save_as(path, write_like_original=True)
        assert path.read_bytes()[128:132] != b"DICM"
    np.testing.assert_array_equal(read(only(tmp_path)).data, voxels().T)


def test_other_files_and_hidden_ones_are_ignored(tmp_path: Path) -> None:
    paths = write(made_series("t2"), tmp_path)
    (tmp_path / "readme").write_text("no DICOM")
    (tmp_path / "viewer.exe").write_bytes(b"MZ" + bytes(200))
    shutil.copy(paths[0], tmp_path / "._001.dcm")
    series = only(tmp_path)
    assert (len(series.instances), series.problem, series.notes) == (8, "", ())


def test_a_dicomdir_is_ignored(tmp_path: Path) -> None:
    write(made_series("t2"), tmp_path)
    directory = empty_instance("1.2.840.10008.1.3.10")
    pydicom.dcmwrite(tmp_path / "DICOMDIR", directory, write_like_original=False)
    pydicom.dcmwrite(tmp_path / "INDEX", directory, write_like_original=False)
    series = only(tmp_path)
    assert (len(series.instances), series.notes) == (8, ())


def test_a_damaged_header_beside_a_series_is_told(tmp_path: Path) -> None:
    write(made_series("t2"), tmp_path)
    (tmp_path / "009.dcm").write_bytes(bytes(128) + b"DICM" + bytes(range(200)))
    assert "Files beside it could not be read (1), such as 009.dcm" in " ".join(only(tmp_path).notes)


def test_slices_in_any_order_of_files_are_sorted_by_position(tmp_path: Path) -> None:
    instances = made_series("t2")
    write(instances[::-1], tmp_path)
    np.testing.assert_array_equal(read(only(tmp_path)).data, voxels().T)


def test_the_affine_places_each_voxel_where_dicom_says(tmp_path: Path) -> None:
    """By the equation of PS3.3, C.7.6.2.1.1, for an oblique series."""
    turn = np.linalg.qr(np.random.default_rng(3).normal(size=(3, 3)))[0]
    orientation = (*turn[0], *turn[1])
    instances = made_series("t2", orientation=orientation)
    write(instances, tmp_path)
    volume = read(only(tmp_path))
    for instance in instances:
        row, column = 7, 3
        position = np.array(instance.ImagePositionPatient, float)
        position += turn[0] * 0.8 * column + turn[1] * 0.9 * row
        expected = instance.pixel_array[row, column]
        index = np.linalg.solve(volume.grid.affine, [-position[0], -position[1], position[2], 1])[:3]
        np.testing.assert_allclose(index, index.round(), atol=1e-6)
        assert volume.data[tuple(index.round().astype(int))] == expected


def test_the_result_is_that_of_itk(tmp_path: Path) -> None:
    import SimpleITK as sitk

    write(made_series("t2", orientation=SAGITTAL, RescaleSlope="2.5", RescaleIntercept="-7"), tmp_path)
    volume = read(only(tmp_path))
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(tmp_path)))
    image = reader.Execute()
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image).T, volume.data)
    axes = np.array(image.GetDirection()).reshape(3, 3) * image.GetSpacing()
    np.testing.assert_allclose(np.diag([-1, -1, 1]) @ axes, volume.grid.affine[:3, :3], atol=1e-6)
    np.testing.assert_allclose(np.array(image.GetOrigin()) * (-1, -1, 1), volume.grid.affine[:3, 3], atol=1e-6)


def test_a_missing_slice_is_refused_and_named(tmp_path: Path) -> None:
    write([one for place, one in enumerate(made_series("t2")) if place not in (3, 4)], tmp_path)
    series = only(tmp_path)
    assert series.role == "t2"
    assert "'AX T2' cannot be used: 2 slices are missing (between images 3 and 6)" in series.problem
    assert "export the series again" in series.problem
    with pytest.raises(InputError, match="2 slices are missing"):
        read_instances(series.instances)


def test_slices_that_the_header_counts_and_are_not_there_are_told(tmp_path: Path) -> None:
    write(made_series("t2", ImagesInAcquisition=24), tmp_path)
    assert only(tmp_path).notes == ("It says that 24 images were made; 8 are here.",)


def test_varying_distances_are_refused(tmp_path: Path) -> None:
    places = [(0, 0, height) for height in (0, 5, 10, 15, 21.5, 28, 34.5, 41)]
    write(made_series("t2", positions=places), tmp_path)
    assert "the distances between its slices vary from 5.00 to 6.50 mm" in only(tmp_path).problem


def test_rounded_positions_are_read_without_a_word(tmp_path: Path) -> None:
    places = [(0, 0, round(height * 1.3333333, 2)) for height in range(8)]
    write(made_series("t2", positions=places), tmp_path)
    assert (only(tmp_path).problem, only(tmp_path).notes) == ("", ())


def test_slightly_uneven_distances_are_told(tmp_path: Path) -> None:
    places = [(0, 0, 5.0 * height + (0.3 if height == 3 else 0)) for height in range(8)]
    write(made_series("t2", positions=places), tmp_path)
    assert only(tmp_path).problem == ""
    assert "up to 0.30 mm from an even stack" in only(tmp_path).notes[0]


def test_a_tilted_stack_is_read_with_its_shear(tmp_path: Path) -> None:
    places = [(0, 1.5 * height, 5.0 * height) for height in range(8)]
    write(made_series("t2", positions=places), tmp_path)
    series = only(tmp_path)
    assert "16.7 degrees obliquely" in series.notes[0]
    affine = read(series).grid.affine
    for height, place in enumerate(places):
        np.testing.assert_allclose((affine @ (0, 0, height, 1))[:3], np.array(place) * (-1, -1, 1), atol=1e-9)


def test_a_single_image_is_no_volume(tmp_path: Path) -> None:
    write(made_series("t2")[:1], tmp_path)
    assert "has only 1 image" in only(tmp_path).problem


def test_the_three_planes_of_a_localizer_are_ignored(tmp_path: Path) -> None:
    study = Study()
    uid = generate_uid()
    for place, orientation in enumerate((AXIAL, SAGITTAL)):
        planes = made_series(
            "t2", study=study, orientation=orientation, SeriesDescription="3-Plane Loc", SeriesInstanceUID=uid
        )
        write(planes, tmp_path / str(place))
    series = find_series(tmp_path)
    assert [one.key for one in series] == ["1.1", "1.2"]
    assert all(one.role is None and "it is a localizer" in one.reason for one in series)


def test_two_orientations_in_one_series_are_two_volumes(tmp_path: Path) -> None:
    uid = generate_uid()
    write(made_series("t2", SeriesInstanceUID=uid, StudyInstanceUID="1.2.3", FrameOfReferenceUID="1.2"), tmp_path / "a")
    write(
        made_series(
            "t2", SeriesInstanceUID=uid, orientation=SAGITTAL, StudyInstanceUID="1.2.3", FrameOfReferenceUID="1.2"
        ),
        tmp_path / "b",
    )
    axial, sagittal = find_series(tmp_path)
    assert read(axial).grid.axcodes == "LPS"
    assert read(sagittal).grid.axcodes == "PIR"
    assert axial.notes == ("The series holds 2 volumes; this is number 1.",)


def test_mixed_pixel_spacing_is_split(tmp_path: Path) -> None:
    uid, study = generate_uid(), Study()
    write(made_series("t2", study=study, SeriesInstanceUID=uid), tmp_path / "a")
    write(made_series("t2", study=study, SeriesInstanceUID=uid, spacing=(1.0, 1.0))[:2], tmp_path / "b")
    large, small = find_series(tmp_path)
    assert read(large).grid.spacing == pytest.approx((0.8, 0.9, 5.0))
    assert "has only 2 images" in small.problem
    assert choose([large, small], allow_missing=True)["t2"].key == large.key


def test_two_echoes_of_one_series_are_told_apart_by_their_times(tmp_path: Path) -> None:
    uid, study = generate_uid(), Study()
    common: dict[str, Any] = {
        "study": study,
        "SeriesInstanceUID": uid,
        "SeriesDescription": "PD/T2 AX",
        "RepetitionTime": 3500,
    }
    write(made_series("t2", data=voxels(seed=1), EchoTime=15, EchoNumbers=1, **common), tmp_path / "a")
    write(made_series("t2", data=voxels(seed=2), EchoTime=95, EchoNumbers=2, **common), tmp_path / "b")
    proton, t2 = find_series(tmp_path)
    assert (proton.role, t2.role) == (None, "t2")
    np.testing.assert_array_equal(read(t2).data, voxels(seed=2).T)


@pytest.mark.parametrize(
    "attribute", ["TemporalPositionIdentifier", "AcquisitionNumber", "EchoNumbers", "InversionTime", "ImageType"]
)
def test_volumes_at_the_same_positions_are_split_by(tmp_path: Path, attribute: str) -> None:
    uid, study = generate_uid(), Study()
    values: list[Any] = (
        [["ORIGINAL", "PRIMARY", "M"], ["ORIGINAL", "PRIMARY", "P"]] if attribute == "ImageType" else [1, 2]
    )
    for place, value in enumerate(values):
        made = made_series("t2", study=study, data=voxels(seed=place), SeriesInstanceUID=uid, **{attribute: value})
        write(made, tmp_path / str(place))
    for place, series in enumerate(find_series(tmp_path)):
        np.testing.assert_array_equal(read(series).data, voxels(seed=place).T)


def test_an_acquisition_number_for_each_slice_does_not_split(tmp_path: Path) -> None:
    instances = made_series("t2")
    for place, instance in enumerate(instances):
        instance.AcquisitionNumber = place
    write(instances, tmp_path)
    assert read(only(tmp_path)).data.shape == (12, 10, 8)


def test_copies_of_an_instance_are_left_out(tmp_path: Path) -> None:
    for path in write(made_series("t2"), tmp_path / "a")[:3]:
        shutil.copy(path, tmp_path / f"copy-{path.name}")
    series = only(tmp_path)
    assert series.notes == ("Left out as copies of others: 3 of its images.",)
    np.testing.assert_array_equal(read(series).data, voxels().T)


def test_equal_images_under_new_uids_are_left_out(tmp_path: Path) -> None:
    instances = made_series("t2")
    write(instances, tmp_path / "a")
    for instance in instances:
        instance.SOPInstanceUID = instance.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    write(instances[2:5], tmp_path / "b")
    series = only(tmp_path)
    assert series.notes == ("Left out as copies of others: 3 of its images.",)
    np.testing.assert_array_equal(read(series).data, voxels().T)


def test_different_images_at_one_position_are_refused(tmp_path: Path) -> None:
    uid, study = generate_uid(), Study()
    for place in (0, 1):
        write(made_series("t2", study=study, data=voxels(seed=place), SeriesInstanceUID=uid), tmp_path / str(place))
    assert "8 of its 16 images lie where another one does" in only(tmp_path).problem


def test_a_mosaic_is_ignored_and_refused_where_it_is_asked_for(tmp_path: Path) -> None:
    write(made_series("t2", SeriesDescription="resting", ImageType=["ORIGINAL", "PRIMARY", "M", "MOSAIC"]), tmp_path)
    series = find_series(tmp_path)
    assert series[0].role is None
    assert "mosaic" in series[0].reason
    with pytest.raises(InputError, match="Convert it with dcm2niix") as caught:
        choose(series, {"t2": 1}, allow_missing=True)
    assert caught.value.field == "t2"


@pytest.mark.parametrize("role", ["t1", "flair"])
def test_enhanced_mr_is_read(tmp_path: Path, role: str) -> None:
    write([made_multi_frame(role, voxels()[::-1])], tmp_path)
    series = only(tmp_path)
    assert series.role == role
    volume = read(series)
    np.testing.assert_array_equal(volume.data, voxels()[::-1].T)
    np.testing.assert_allclose(volume.grid.affine[:3, 3], (30.0, 25.0, -40.0))
    headers = source_headers(series.instances, series.part)
    assert (len(headers.datasets), headers.frames) == (1, tuple(range(1, 9)))


def test_a_frame_type_of_one_word_is_that_word(tmp_path: Path) -> None:
    made, kind = made_multi_frame("t2", voxels()), pydicom.Dataset()
    kind.FrameType = "ORIGINAL"
    made.SharedFunctionalGroupsSequence[0].MRImageFrameTypeSequence = [kind]
    write([made], tmp_path)
    series = only(tmp_path)
    assert (series.role, series.image.image_type) == ("t2", ("ORIGINAL",))


def test_two_echoes_in_one_multi_frame_file_are_two_volumes(tmp_path: Path) -> None:
    data = np.concatenate([voxels(seed=1), voxels(seed=2)])
    made = made_multi_frame("t2", data)
    for place, group in enumerate(made.PerFrameFunctionalGroupsSequence):
        group.MREchoSequence = pydicom.Sequence([pydicom.Dataset()])
        group.MREchoSequence[0].EffectiveEchoTime = 15.0 if place < 8 else 95.0
        group.PlanePositionSequence[0].ImagePositionPatient = [0, 0, 5.0 * (place % 8)]
    made.SeriesDescription = "PD/T2"
    write([made], tmp_path)
    series = find_series(tmp_path)
    assert [(one.role, one.part) for one in series] == [(None, 0), ("t2", 1)]
    np.testing.assert_array_equal(read(series[1]).data, voxels(seed=2).T)
    assert source_headers(series[1].instances, series[1].part).frames == tuple(range(9, 17))
    with pytest.raises(InputError, match="hold 2 volumes, not one"):
        read_instances(series[1].instances)


def test_a_multi_frame_file_that_does_not_describe_its_frames_is_refused(tmp_path: Path) -> None:
    made = made_multi_frame("t2", voxels())
    del made.PerFrameFunctionalGroupsSequence[3]
    paths = write([made], tmp_path)
    with pytest.raises(InputError, match="holds 8 frames and describes 7"):
        read_instances(paths)


def test_secondary_captures_are_ignored(tmp_path: Path) -> None:
    write(made_series("t2", SOPClassUID="1.2.840.10008.5.1.4.1.1.7"), tmp_path)
    series = only(tmp_path)
    assert series.role is None
    assert "it is a picture (secondary capture)" in series.reason


@pytest.mark.parametrize(
    ("attributes", "why"),
    [
        ({"SeriesDescription": "ADC"}, "another kind of image ('adc')"),
        ({"SeriesDescription": "T2 map", "ImageType": ["DERIVED", "PRIMARY", "T2 MAP"]}, "by its type (T2 MAP)"),
        ({"SeriesDescription": "ep2d_diff_tra_b1000"}, "another kind of image"),
        ({"SeriesDescription": "AX T2", "DiffusionBValue": 1000.0}, "it is diffusion-weighted"),
        ({"SeriesDescription": "COW", "AngioFlag": "Y"}, "it is an angiography"),
        ({"SeriesDescription": "ASSET calibration"}, "a calibration"),
        ({"SeriesDescription": "SAG T2 C-SPINE"}, "not the head"),
    ],
)
def test_maps_and_other_series_are_ignored(tmp_path: Path, attributes: dict[str, Any], why: str) -> None:
    write(made_series("t2", **attributes), tmp_path)
    series = only(tmp_path)
    assert series.role is None
    assert why in series.reason


@pytest.mark.parametrize(("modality", "kind"), [("CT", "a CT"), ("SEG", "a segmentation"), ("PT", "a PET")])
def test_other_modalities_are_ignored(tmp_path: Path, modality: str, kind: str) -> None:
    write(made_series("t2", Modality=modality, SOPClassUID="1.2.840.10008.5.1.4.1.1.2"), tmp_path)
    assert f"it is {kind}, not MR" in only(tmp_path).reason


@pytest.mark.parametrize("syntax", [RLELossless, JPEG2000Lossless, JPEGLSLossless])
def test_compressed_images_are_read_with_their_rescale(tmp_path: Path, syntax: pydicom.uid.UID) -> None:
    instances = made_series("t2", RescaleSlope="0.5", RescaleIntercept="3")
    for instance in instances:
        compress(instance, syntax)
    write(instances, tmp_path)
    np.testing.assert_array_equal(read(only(tmp_path)).data, voxels().T * np.float32(0.5) + 3)


def compress(instance: pydicom.Dataset, syntax: pydicom.uid.UID) -> None:
    from highdicom.frame import encode_frame

    frame = encode_frame(
        instance.pixel_array,
        transfer_syntax_uid=syntax,
        bits_allocated=16,
        bits_stored=16,
        photometric_interpretation="MONOCHROME2",
        pixel_representation=0,
    )
    instance.PixelData = pydicom.encaps.encapsulate([frame])
    instance["PixelData"].is_undefined_length = True
    instance.file_meta.TransferSyntaxUID = syntax


def test_jpeg_lossless_is_read(tmp_path: Path) -> None:
    import SimpleITK as sitk

    instances = made_series("t2")
    for instance in instances:
        writer = sitk.ImageFileWriter()
        writer.SetImageIO("GDCMImageIO")
        writer.SetFileName(str(tmp_path / "one.dcm"))
        writer.UseCompressionOn()
        writer.SetCompressor("JPEG")
        writer.Execute(sitk.GetImageFromArray(instance.pixel_array[None]))
        written = pydicom.dcmread(tmp_path / "one.dcm")
        instance.PixelData, instance.file_meta.TransferSyntaxUID = written.PixelData, JPEGLosslessSV1
        instance["PixelData"].is_undefined_length = True
        assert written.file_meta.TransferSyntaxUID == JPEGLosslessSV1
    write(instances, tmp_path / "series")
    np.testing.assert_array_equal(read(only(tmp_path / "series")).data, voxels().T)


def test_a_compressed_multi_frame_file_is_read(tmp_path: Path) -> None:
    from highdicom.frame import encode_frame

    made = made_multi_frame("t2", voxels())
    frames = [
        encode_frame(
            plane,
            transfer_syntax_uid=JPEG2000Lossless,
            bits_allocated=16,
            bits_stored=16,
            photometric_interpretation="MONOCHROME2",
            pixel_representation=0,
        )
        for plane in voxels()
    ]
    made.PixelData = pydicom.encaps.encapsulate(frames)
    made["PixelData"].is_undefined_length = True
    made.file_meta.TransferSyntaxUID = JPEG2000Lossless
    write([made], tmp_path)
    np.testing.assert_array_equal(read(only(tmp_path)).data, voxels().T)


def test_a_compression_that_cannot_be_read_is_refused_with_a_way_out(tmp_path: Path) -> None:
    instances = made_series("t2")
    for instance in instances:
        instance.PixelData = pydicom.encaps.encapsulate([b"no codestream"])
        instance["PixelData"].is_undefined_length = True
        instance.file_meta.TransferSyntaxUID = JPEG2000Lossless
    write(instances, tmp_path)
    with pytest.raises(InputError, match="gdcmconv --raw"):
        read(only(tmp_path))


def test_a_truncated_file_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    paths = write(made_series("t2"), tmp_path)
    paths[4].write_bytes(paths[4].read_bytes()[:-40])
    series = only(tmp_path)
    assert "of 005.dcm, it is cut off: 240 bytes of pixels are needed, 200 are there" in series.problem
    with pytest.raises(InputError, match=r"005\.dcm: it is cut off"):
        read_instances(series.instances)


def test_rescale_is_applied_to_each_slice_and_told_where_it_differs(tmp_path: Path) -> None:
    instances = made_series("t2")
    for place, instance in enumerate(instances):
        instance.RescaleSlope, instance.RescaleIntercept = f"{1 + place / 4}", "-3"
    write(instances, tmp_path)
    series = only(tmp_path)
    assert series.notes == ("The rescale differs between its slices, and is applied to each.",)
    expected = voxels().T * (1 + np.arange(8) / 4) - 3
    np.testing.assert_allclose(read(series).data, expected, rtol=1e-6)


def test_signed_pixels_and_unused_bits_are_read(tmp_path: Path) -> None:
    data = voxels().astype(np.int16) - 2000
    instances = made_series("t2", data=data)
    for instance in instances:  # 12 bits, with an overlay in the bits above them
        stored = (instance.pixel_array.astype(np.int32) & 0x0FFF) | 0x5000
        instance.PixelData = stored.astype(np.uint16).tobytes()
        instance.BitsStored, instance.HighBit = 12, 11
    write(instances, tmp_path)
    expected = ((data.astype(np.int32) + 2048) & 0x0FFF) - 2048
    np.testing.assert_array_equal(read(only(tmp_path)).data, expected.T)


def test_inverted_images_are_inverted_back(tmp_path: Path) -> None:
    data = voxels()
    write(made_series("t2", data=4095 - data, PhotometricInterpretation="MONOCHROME1"), tmp_path)
    series = only(tmp_path)
    assert "inverted back" in series.notes[0]
    volume = read(series).data
    np.testing.assert_array_equal(volume - volume.min(), (data - data.min()).T)


def test_padding_becomes_the_smallest_value(tmp_path: Path) -> None:
    data = voxels().astype(np.int16) + 5
    data[:, 0] = -2000
    write(made_series("t2", data=data, PixelPaddingValue=-2000), tmp_path)
    volume = read(only(tmp_path)).data
    assert volume[:, 0].max() == volume.min() == data[:, 1:].min()


def test_colors_are_refused(tmp_path: Path) -> None:
    instances = made_series("t2")
    for instance in instances:
        pixels = np.zeros((10, 12, 3), np.uint8)
        set_pixels(instance, pixels[..., 0])
        instance.SamplesPerPixel, instance.PhotometricInterpretation, instance.PixelData = 3, "RGB", pixels.tobytes()
        instance.PlanarConfiguration = 0
    write(instances, tmp_path)
    assert "it holds colors" in only(tmp_path).problem


@pytest.mark.parametrize("keyword", ["ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"])
def test_a_series_without_a_position_is_refused(tmp_path: Path, keyword: str) -> None:
    nothing: dict[str, Any] = {keyword: None}
    write(made_series("t2", **nothing), tmp_path)
    assert f"{keyword}" in only(tmp_path).problem


def test_several_frames_of_reference_in_one_study_are_told(tmp_path: Path) -> None:
    study = made_study()
    for instance in study["flair"]:
        instance.FrameOfReferenceUID = "1.2.3"
    chosen = choose(find_series(write_study(study, tmp_path)))
    assert "Its frame of reference is not that of the T1 with contrast series" in chosen["flair"].notes[0]
    assert chosen["t2"].notes == ()


@pytest.mark.parametrize(("other", "what"), [(Study(patient_id="P-2"), "2 patients"), (Study(), "2 studies")])
def test_series_of_several_patients_or_studies_are_not_mixed(tmp_path: Path, other: Study, what: str) -> None:
    write(made_series("t1ce"), tmp_path / "a")
    write(made_series("t2", study=other, number=2), tmp_path / "b")
    with pytest.raises(InputError, match=what) as caught:
        choose(find_series(tmp_path), allow_missing=True)
    assert caught.value.field == "files"


def test_a_frame_of_reference_for_each_image_is_an_error_of_de_identification(tmp_path: Path) -> None:
    instances = made_series("t2")
    for instance in instances:
        instance.FrameOfReferenceUID = generate_uid()
    write(instances, tmp_path)
    np.testing.assert_array_equal(read(only(tmp_path)).data, voxels().T)


def test_series_of_one_number_have_letters(tmp_path: Path) -> None:
    study = Study()
    write(made_series("t1ce", study=study), tmp_path / "a")
    write(made_series("t2", study=study), tmp_path / "b")
    keys = {one.role: one.key for one in find_series(tmp_path)}
    assert set(keys.values()) == {"1a", "1b"}
    assert choose(find_series(tmp_path), {"t1": keys["t2"]}, allow_missing=True)["t1"].description == "AX T2"


def test_a_deflated_file_is_not_inflated(tmp_path: Path) -> None:
    instances = made_series("t2")
    for instance in instances:
        instance.file_meta.TransferSyntaxUID = pydicom.uid.DeflatedExplicitVRLittleEndian
    paths = write(instances, tmp_path)
    assert find_series(tmp_path) == []
    with pytest.raises(InputError, match="stored deflated; decompress it"):
        read_instances(paths)


def test_images_in_many_directions_are_refused(tmp_path: Path) -> None:
    angles = np.linspace(0, np.pi, 250, endpoint=False)
    uid, study = generate_uid(), Study()
    for place, (cosine, sine) in enumerate(zip(np.cos(angles), np.sin(angles), strict=True)):
        orientation = (cosine, sine, 0, 0, 0, -1)
        made = made_series("t2", study=study, data=voxels((2, 2, 1)), orientation=orientation, SeriesInstanceUID=uid)
        write(made, tmp_path, f"{place}{{}}")
    assert "its images lie in many directions" in only(tmp_path).problem


def test_damaged_values_do_not_stop_the_search(tmp_path: Path) -> None:
    instances = made_series("t2")
    for instance in instances:
        instance.EchoTime = None
        instance["SeriesNumber"]._value = "seven"
    write(instances, tmp_path)
    series = only(tmp_path)
    assert (series.role, series.number) == ("t2", None)
    assert read_grid(series.instances).shape == (12, 10, 8)
