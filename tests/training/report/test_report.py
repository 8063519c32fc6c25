"""The record and the report of a run say what the run did not use."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from spyglass_contract.model.run_folder import LeftOut, RunFolder

pytest.importorskip("tensorflow")

from spyglass_training.run.training import train
from tiny_training import COLORS, QUICK, dataset


@pytest.mark.slow
def test_the_record_and_the_report_say_what_was_left_out_and_what_is_suspicious(tmp_path: Path) -> None:
    left_out = (LeftOut("the suffix .heic is not that of an image", 1200, ("red/1.heic", "red/2.heic")),)
    warnings = ("2 images are under more than one label, such as a.jpg as red = b.jpg as blue",)
    data = dataclasses.replace(dataset(), left_out=left_out, warnings=warnings)
    folder = RunFolder(tmp_path / "run")
    train(COLORS, data, dataclasses.replace(QUICK, epochs=1), folder)
    record = folder.read_record()
    assert (record.left_out, record.data_warnings) == (left_out, warnings)
    assert json.loads(folder.record.read_text())["left_out"][0]["count"] == 1200
    report = folder.report.read_text()
    assert "left out 1,200: the suffix .heic is not that of an image (red/1.heic, red/2.heic, …)" in report
    assert f"Warning: {warnings[0]}." in report
