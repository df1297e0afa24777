"""Workbooks for tests: any XML in the right places, as no program would write it."""

from __future__ import annotations

import zipfile
from pathlib import Path

MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
RELS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
PACKAGE = "http://schemas.openxmlformats.org/package/2006/relationships"


def workbook_parts(
    rows: str = "",
    *,
    strings: str = "",
    styles: str = "",
    sheets: tuple[tuple[str, str], ...] = (("Sheet1", "visible"),),
    book: str = "",
) -> dict[str, str]:
    """The parts of a workbook: ``rows`` is the first sheet's data, ``sheets`` names and states, ``book`` more XML of
    the workbook's own part."""
    listed = "".join(
        f'<sheet name="{name}" sheetId="{at}" state="{state}" r:id="rId{at}"/>'
        for at, (name, state) in enumerate(sheets, 1)
    )
    related = "".join(
        f'<Relationship Id="rId{at}" Type="{RELS}/worksheet" Target="worksheets/sheet{at}.xml"/>'
        for at in range(1, len(sheets) + 1)
    )
    parts = {
        "_rels/.rels": _relations(f'<Relationship Id="a" Type="{RELS}/officeDocument" Target="xl/workbook.xml"/>'),
        "xl/workbook.xml": f'<workbook xmlns="{MAIN}" xmlns:r="{RELS}">{book}<sheets>{listed}</sheets></workbook>',
        "xl/sharedStrings.xml": f'<sst xmlns="{MAIN}">{strings}</sst>',
        "xl/styles.xml": f'<styleSheet xmlns="{MAIN}">{styles or "<cellXfs><xf/></cellXfs>"}</styleSheet>',
        "xl/_rels/workbook.xml.rels": _relations(
            related
            + f'<Relationship Id="s" Type="{RELS}/sharedStrings" Target="/xl/sharedStrings.xml"/>'
            + f'<Relationship Id="t" Type="{RELS}/styles" Target="styles.xml"/>'
        ),
    }
    for at in range(1, len(sheets) + 1):
        parts[f"xl/worksheets/sheet{at}.xml"] = (
            f'<worksheet xmlns="{MAIN}"><sheetData>{rows if at == 1 else ""}</sheetData></worksheet>'
        )
    return parts


def write_package(path: Path, parts: dict[str, str]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as package:
        for name, text in parts.items():
            package.writestr(name, text)
    return path


def table(*rows: tuple[str, ...]) -> str:
    """Rows of text cells from A1 on."""
    cells = '<c t="inlineStr"><is><t xml:space="preserve">{}</t></is></c>'
    return "".join(f"<row>{''.join(map(cells.format, row))}</row>" for row in rows)


def _relations(inner: str) -> str:
    return f'<Relationships xmlns="{PACKAGE}">{inner}</Relationships>'
