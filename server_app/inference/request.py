"""The request for an inference: made once, where it comes in, and never changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from monailabel.interfaces.datastore import DefaultLabelTag

from server_app.cases.datastore import CaseDatastore
from server_app.cases.dicom_study import read_series
from server_app.cases.preprocessed import preprocessed_case, record_of
from server_app.cases.preprocessing_options import PreprocessingOptions
from server_app.cases.uploads import order_of, whole_case
from server_app.common.params import flag, user_of
from server_app.errors import refusal
from server_app.inference.queue import Ticket
from server_app.labels.predictions import SESSION_PREDICTION, Predictions
from training.cases.case import Case
from training.cases.find import case_from_folder
from training.errors import InputError
from training.images.write import EXPORT_ENDINGS, LABELMAP_DTYPES
from training.modalities import REFERENCE_ORDER, display_name

#: The parameters that say what a client chooses, and all others that an inference has.
CHOICES: tuple[str, ...] = ("result_extension", "result_dtype", "result_compress", "reference", "allow_missing")
CHOICES += ("allow_whole_head", "as_scanned", "force", "output_maps", "save_label", "label_tag", "order")
OTHERS = ("job", "client_id", "user", "model")


@dataclass(frozen=True)
class InferenceOptions:
    """What a client chooses.

    Attributes:
        ending: Of the labelmap's file.
        dtype: Of its voxels, one of :data:`training.images.write.LABELMAP_DTYPES`.
        compress: Whether its voxels are compressed.
        reference: The role on whose grid the labelmap lies; ``None`` takes T1ce, or what there is instead.
        allow_missing: Whether modalities may be missing.
        allow_whole_head: Whether the volumes may show more than the brain.
        preprocessing: What the client says of preprocessing.
        output_maps: Whether to make maps of how certain the model was.
        save_label: Whether to store the labelmap as a label of the case.
        label_tag: The tag of that label.
        user: Who asks, as far as known.
    """

    ending: str = EXPORT_ENDINGS[0]
    dtype: str = LABELMAP_DTYPES[0]
    compress: bool = True
    reference: str | None = None
    allow_missing: bool = False
    allow_whole_head: bool = False
    preprocessing: PreprocessingOptions = field(default_factory=PreprocessingOptions)
    output_maps: bool = False
    save_label: bool = False
    label_tag: str = DefaultLabelTag.ORIGINAL.value
    user: str | None = None

    @classmethod
    def parse(cls, params: Mapping[str, Any]) -> InferenceOptions:
        """Read a request's parameters; raises InputError naming the one that cannot be used."""
        allow_missing = flag(params, "allow_missing")
        return cls(
            ending=_choice(params, "result_extension", EXPORT_ENDINGS) or EXPORT_ENDINGS[0],
            dtype=_choice(params, "result_dtype", LABELMAP_DTYPES) or LABELMAP_DTYPES[0],
            compress=params.get("result_compress") is None or flag(params, "result_compress"),
            reference=_choice(params, "reference", REFERENCE_ORDER),
            allow_missing=allow_missing,
            allow_whole_head=flag(params, "allow_whole_head"),
            preprocessing=PreprocessingOptions.parse(params),
            output_maps=flag(params, "output_maps"),
            save_label=wants_label(params),
            label_tag=str(params.get("label_tag") or DefaultLabelTag.ORIGINAL.value),
            user=user_of(params),
        )


def wants_label(params: Mapping[str, Any]) -> bool:
    """Return whether a request asks for its labelmap to be stored; MONAI Label's clients send the word as well."""
    return params.get("save_label") in (True, "true")


@dataclass(frozen=True)
class InferenceRequest:
    """One inference.

    Attributes:
        case: Its volumes.
        options: What the client chose.
        ticket: For its progress, and to cancel it.
        predictions: Where the model's prediction is kept, to compare a correction with; ``None`` keeps none.
        prediction_name: The name it is kept under.
        save_label: Whether the prediction is stored as a label of the case.
        record: Of the preprocessing that made the volumes, if they are preprocessed.
        examined: Whether it is known that they need no preprocessing.
        brain: A file with a brain mask to use instead of finding one, or ``None``.
        headers: The headers of the DICOM series that the reference was made of, where its file is none; or ``None``.
        keep: For volumes that preprocessed ones replace: called with the folder of these, on the workspace's disk, even
            if the inference then failed; or with ``None`` if they needed nothing.
    """

    case: Case
    options: InferenceOptions = InferenceOptions()
    ticket: Ticket = field(default_factory=Ticket)
    predictions: Predictions | None = None
    prediction_name: str = SESSION_PREDICTION
    save_label: bool = False
    record: Mapping[str, Any] | None = None
    examined: bool = False
    brain: Path | None = None
    headers: str | None = None
    keep: Callable[[Path | None], None] | None = None

    def __post_init__(self) -> None:
        reference, wanted = (self.record or {}).get("reference"), self.options.reference
        if self.record is not None and self.record.get("changed") and wanted not in (None, reference):
            raise InputError(
                f"These volumes were preprocessed for {display_name(str(reference))}; only that one is on its own grid "
                "still. Send the series again to have the result on another one.",
                field="reference",
            )

    @classmethod
    def for_case(
        cls, store: CaseDatastore, case_id: str, options: InferenceOptions, ticket: Ticket | None = None
    ) -> InferenceRequest:
        """Make the request for a case of the datastore.

        Raises:
            HTTPException: 404 if there is none of that id, 422 if a label is to be stored for an incomplete one.
        """
        case = store.case(case_id, allow_missing=options.allow_missing)
        if case.missing and options.save_label:
            raise refusal(422, "save_label", f"Case {case.id} is short of modalities; it can hold no labels.")
        return cls(
            case,
            options,
            ticket or Ticket(),
            store.labels.predictions,
            case.id,
            options.save_label,
            record=record_of(case.folder),
        )


def case_from_upload(path: Path, *, allow_missing: bool, params: Mapping[str, Any] | None = None) -> Case:
    """Make a case of what a client sent: a folder of four files, one 4D file, or a DICOM study.

    Args:
        path: The folder or file.
        allow_missing: Whether modalities may be missing.
        params: May contain the ``order`` of a 4D file's volumes, or of numbered channels.

    Raises:
        InputError: If a modality is missing (and must not be) or claimed twice; names the files.
    """
    if record_of(path) is not None:
        return preprocessed_case(path, allow_missing=allow_missing)
    study = read_series(path, allow_missing=allow_missing) if path.is_dir() else None
    if study is not None:
        return study
    if not path.is_dir():
        return whole_case(path, order_of(params or {}), allow_missing=allow_missing)
    try:
        return case_from_folder(path, allow_missing=allow_missing, order=order_of(params or {}))
    except InputError as error:  # the folder's name is the server's own and means nothing to a client
        raise InputError(error.message.removeprefix(f"{path}: "), field=error.field) from error


def _choice(params: Mapping[str, Any], name: str, known: tuple[str, ...]) -> str | None:
    """Return one of the known values; ``None`` if none is given, or a client sends back the whole list of ``/info``."""
    value = params.get(name)
    if value is None or value == "" or value == list(known):
        return None
    if value not in known:
        raise InputError(f"{name} must be one of {', '.join(known)}, not {str(value)[:80]!r}.", field=name)
    return str(value)
