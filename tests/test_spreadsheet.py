"""A ``to_fix.csv`` that a real spreadsheet opened and saved again: every cell that nobody mended is as it was."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import polars as pl
import pytest

from batchpost.batch import InputFile, Kind
from batchpost.job import Source
from batchpost.results import CsvTable
from batchpost.source import Reader

OFFICE = shutil.which("soffice")
UTF_8 = "44,34,76,1"  # LibreOffice's way to say: commas, double quotes, UTF-8, from the first line on
CELLS = [
    *("00123", "85.00", ".5", "1,250.00", "1.250,00", "123456789012", "1.02E+17", "12e5", "$5", "(45.00)", "€ 5"),
    *("USD 45", "50%", " 85 ", "03/04/2025", "2025-03-04", "3-4", "1/2", "12:30", "2025-03-04 16:30:00", "Mar 5"),
    *("MAR1", "1 1/2", "true", "TRUE", "False", "wahr", "=1+1", "+49", "-45", "-", "@x", "\tx", "'=1", "'85.00"),
    *("'42", "''00123", '="02134"', "0", "7", "42", "12345678901", "txn_00123", "Zoë Müller", '5" pipe', "a\nb"),
    *("a,b;c", "#N/A", "  two  ", "'tis", "½"),
]


@pytest.mark.skipif(OFFICE is None, reason="LibreOffice (soffice) is not installed")
@pytest.mark.parametrize(("kind", "target"), [("csv", f"csv:Text - txt - csv (StarCalc):{UTF_8}"), ("excel", "xlsx")])
def test_a_to_fix_that_a_spreadsheet_saved_again_is_as_it_was(tmp_path: Path, kind: Kind, target: str) -> None:
    size = len(CELLS)
    links = {"batchpost_run": ["20261127T113038951-d969"] * size, "batchpost_row": list(map(str, range(1, size + 1)))}
    frame = pl.DataFrame({"Lead": [f"txn_{number}" for number in range(size)], "Cell": CELLS, **links})
    with (tmp_path / "to_fix.csv").open("wb") as file:
        CsvTable(file, frame.columns, comes_back=True).write(frame)
    command = [str(OFFICE), "--headless", f"--infilter=CSV:{UTF_8}", "--convert-to", target, "--outdir", "saved"]
    home = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
    subprocess.run([*command, "to_fix.csv"], cwd=tmp_path, env=home, check=True, capture_output=True, timeout=120)
    (saved,) = (tmp_path / "saved").iterdir()
    reader = Reader(InputFile(saved, saved.name, kind), Source(path=saved.name))
    assert reader.is_to_fix
    assert pl.concat([batch.frame for batch in reader.batches()]).rows() == frame.rows()
