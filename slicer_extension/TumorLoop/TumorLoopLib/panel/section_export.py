"""The button of the section Submit that saves a submitted label as DICOM SEG."""

from __future__ import annotations

from pathlib import Path

from TumorLoopLib.i18n import _
from TumorLoopLib.jobs.export_seg import SavedSeg, SegOrder, export_seg
from TumorLoopLib.panel.context import PanelContext
from TumorLoopLib.panel.section import Section
from TumorLoopLib.panel.state import EXPORT, PanelState
from TumorLoopLib.panel.widgets import BUSY, GOOD, WARN, enable
from TumorLoopLib.scene import dicom


class ExportSection(Section):
    """*Export as DICOM SEG*: into a file, and into the study in Slicer's DICOM database."""

    def __init__(self, context: PanelContext) -> None:
        super().__init__(context)
        self._version = ""
        self.ui.exportButton.connect("clicked(bool)", self._export)

    def show(self, state: PanelState) -> None:
        """Show whether a label can be exported."""
        history = self.context.history
        self._version = state.chosen_label or (str(history[-1].get("version") or "") if history else "")
        tip = _("Save {version} as DICOM SEG, and add it to the study in Slicer's DICOM database")
        enable(self.ui.exportButton, state.reason_export(), tip.format(version=self._version))
        self.ui.exportButton.setVisible(bool(history))

    def _export(self) -> None:
        context = self.context
        case_id, version, settings = context.parameters.case_id, self._version, context.settings
        title, kinds = _("Save as DICOM SEG"), _("DICOM files (*.dcm);;All files (*)")
        start = str(Path(settings.export_folder or Path.home()) / f"{case_id}-{version}-seg.dcm")
        chosen = context.services.choose_new_file(title, start, kinds)
        if not chosen:
            return
        settings.export_folder = str(Path(chosen).parent)
        images = dicom.files_of(context.parameters.t1ce)
        order = SegOrder(case_id, version, Path(chosen), images[0] if images else None)
        connection, folder = context.connection(), context.folder
        context.show_status(_("Label {version} is being exported …").format(version=version), BUSY)
        context.run(
            EXPORT,
            lambda reporter: export_seg(connection.client(), order, reporter, folder),
            self._exported,
            failure=_("No DICOM SEG was saved."),
        )

    def _exported(self, saved: SavedSeg) -> None:
        if not saved.uid:
            text = _(
                "Saved as {path}. It was not added to Slicer's DICOM database, which does not have the images "
                "of T1 with contrast."
            )
            self.context.show_status(text.format(path=saved.path), GOOD)
        elif dicom.add_file(saved.path, saved.uid):
            text = _("Saved as {path}, and added to the study in Slicer's DICOM database.")
            self.context.show_status(text.format(path=saved.path), GOOD)
        else:
            text = _("Saved as {path}. Slicer's DICOM database did not take it: import it with the DICOM module.")
            self.context.show_status(text.format(path=saved.path), WARN)
