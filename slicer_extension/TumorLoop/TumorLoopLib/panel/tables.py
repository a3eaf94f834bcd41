"""A table of text in which at most one row is selected; rows have ids."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import qt

#: Pixels of a row, and of the title row with the frame.
_ROW_HEIGHT, _TITLE_HEIGHT = 22, 28
#: Rows that are shown at once, at most.
_SHOWN = 4


class QtTable:
    """A ``QTableWidget`` that is filled again and again.

    Args:
        widget: The table.
        headers: Titles of its columns.
        stretch: The column that takes the space that is left.
        on_choice: Called when another row is selected.
    """

    def __init__(
        self, widget: Any, headers: Sequence[str], stretch: int = 0, on_choice: Callable[[], None] | None = None
    ) -> None:
        self._widget = widget
        self._ids: list[str] = []
        self._rows: list[list[str]] = []
        widget.setColumnCount(len(headers))
        widget.setHorizontalHeaderLabels(list(headers))
        widget.verticalHeader().setVisible(False)
        widget.verticalHeader().setDefaultSectionSize(_ROW_HEIGHT)
        header = widget.horizontalHeader()
        for column in range(len(headers)):
            mode = qt.QHeaderView.Stretch if column == stretch else qt.QHeaderView.ResizeToContents
            header.setSectionResizeMode(column, mode)
        self._fit(0)
        if on_choice is not None:
            widget.connect("itemSelectionChanged()", on_choice)

    @property
    def chosen(self) -> str:
        """The id of the selected row; empty if none is."""
        row = self._widget.currentRow()
        chosen = 0 <= row < len(self._ids) and bool(self._widget.selectedItems())
        return self._ids[row] if chosen else ""

    def fill(self, rows: Sequence[Sequence[str]], ids: Sequence[str] = (), tips: Sequence[str] = ()) -> None:
        """Show rows; a selected one stays selected if it is among them.

        Args:
            rows: Their text.
            ids: Of the rows.
            tips: Tool tips of the rows.
        """
        wanted = [list(row) for row in rows]
        if wanted == self._rows and list(ids) == self._ids:
            return
        chosen = self.chosen
        was_blocked = self._widget.blockSignals(True)
        self._ids, self._rows = list(ids), wanted
        self._widget.setRowCount(len(wanted))
        for number, row in enumerate(wanted):
            for column, text in enumerate(row):
                item = qt.QTableWidgetItem(text)
                item.setToolTip(tips[number] if tips else text)
                if column:
                    item.setTextAlignment(qt.Qt.AlignCenter)
                self._widget.setItem(number, column, item)
        self._fit(len(wanted))
        self._widget.clearSelection()
        if chosen in self._ids:
            self._widget.selectRow(self._ids.index(chosen))
        self._widget.blockSignals(was_blocked)

    def _fit(self, rows: int) -> None:
        """Make the table as high as its rows, within limits."""
        self._widget.setFixedHeight(_TITLE_HEIGHT + _ROW_HEIGHT * min(max(1, rows), _SHOWN))
