"""Tables as files: CSV, and the smallest workbook that a spreadsheet program opens."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from html import escape
from io import BytesIO, StringIO
from typing import Final
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

CSV_TYPE: Final = "text/csv; charset=utf-8"
XLSX_TYPE: Final = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
_HEAD: Final = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>'
_OFFICE: Final = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE: Final = "http://schemas.openxmlformats.org/package/2006"
_MAIN: Final = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_PARTS: Final = "application/vnd.openxmlformats-officedocument.spreadsheetml"
_WORKBOOK: Final = {
    "[Content_Types].xml": f"""{_HEAD}<Types xmlns="{_PACKAGE}/content-types">
<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>
<Override PartName="/xl/workbook.xml" ContentType="{_PARTS}.sheet.main+xml"/>
<Override PartName="/xl/worksheets/sheet1.xml" ContentType="{_PARTS}.worksheet+xml"/></Types>""",
    "_rels/.rels": f"""{_HEAD}<Relationships xmlns="{_PACKAGE}/relationships">
<Relationship Id="rId1" Type="{_OFFICE}/officeDocument" Target="xl/workbook.xml"/></Relationships>""",
    "xl/workbook.xml": f"""{_HEAD}<workbook xmlns="{_MAIN}" xmlns:r="{_OFFICE}">
<sheets><sheet name="Statement" sheetId="1" r:id="rId1"/></sheets></workbook>""",
    "xl/_rels/workbook.xml.rels": f"""{_HEAD}<Relationships xmlns="{_PACKAGE}/relationships">
<Relationship Id="rId1" Type="{_OFFICE}/worksheet" Target="worksheets/sheet1.xml"/></Relationships>""",
}
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


def csv_of(rows: Iterable[Sequence[str]]) -> bytes:
    """Rows as CSV. What a spreadsheet would take for a formula is marked as text: a payer may have written it."""
    text = StringIO()
    csv.writer(text, lineterminator="\r\n").writerows([_harmless(cell) for cell in row] for row in rows)
    return text.getvalue().encode()


def xlsx_of(rows: Iterable[Sequence[str]]) -> bytes:
    """Rows as a workbook of one sheet, every cell a text."""
    lines = "".join(f"<row>{''.join(map(_cell, row))}</row>" for row in rows)
    sheet = f'{_HEAD}<worksheet xmlns="{_MAIN}"><sheetData>{lines}</sheetData></worksheet>'
    file = BytesIO()
    with ZipFile(file, "w") as package:
        for name, text in {**_WORKBOOK, "xl/worksheets/sheet1.xml": sheet}.items():
            package.writestr(ZipInfo(name), text, ZIP_DEFLATED)  # without a time: the same rows are the same file
    return file.getvalue()


def _harmless(cell: str) -> str:
    return f"'{cell}" if cell.startswith(_FORMULA) else cell


def _cell(text: str) -> str:
    plain = "".join(each for each in text if each.isprintable())
    return f'<c t="inlineStr"><is><t xml:space="preserve">{escape(plain, quote=False)}</t></is></c>'
