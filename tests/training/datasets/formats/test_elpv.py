"""Solar cells: the label rule of the paper, and a test part stratified by label and cell type."""

from __future__ import annotations

import importlib.util
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from spyglass.v1.model_pb2 import InputSpec
from spyglass_contract.errors import InvalidInput, NotFound
from spyglass_training.datasets.formats import elpv
from spyglass_training.datasets.reading.options import ReadingOptions

PROBABILITIES = (0.0, 0.3333333333333333, 0.6666666666666666, 1.0)


@pytest.fixture
def cells(tmp_path: Path, photographs: dict[str, Image.Image]) -> Path:
    """Sixty-four images in the layout of the package; the grey level is the number of the line."""
    (tmp_path / "images").mkdir()
    lines = []
    for index in range(64):
        Image.new("L", (30, 30), index).save(tmp_path / f"images/cell{index:04}.png")
        kind = "mono" if index % 8 < 4 else "poly"
        lines.append(f"images/cell{index:04}.png  {PROBABILITIES[index % 4]}   {kind}\n")
    (tmp_path / "labels.csv").write_text("".join(lines))
    return tmp_path


def test_a_cell_is_defective_if_its_probability_is_above_one_half(cells: Path, spec: InputSpec) -> None:
    dataset = elpv.load(cells, spec)
    assert dataset.class_names == ("functional", "defective")
    for split in (dataset.train, dataset.test):
        lines = split.pixels[:, 0, 0, 0].astype(int)
        np.testing.assert_array_equal(split.labels, lines % 4 >= 2)


def test_the_test_part_is_a_seeded_quarter_stratified_by_label_and_cell_type(
    cells: Path, spec: InputSpec
) -> None:
    cuts = []
    for seed in (0, 0, 1):
        dataset = elpv.load(cells, spec, ReadingOptions(seed=seed))
        lines = dataset.test.pixels[:, 0, 0, 0].astype(int)
        assert Counter((line % 4 >= 2, line % 8 < 4) for line in lines.tolist()) == dict.fromkeys(
            [(False, False), (False, True), (True, False), (True, True)], 4
        )
        assert len(dataset.train) == 48
        cuts.append(lines.tolist())
    assert cuts[0] == cuts[1] != cuts[2]


def test_the_error_without_the_package_says_how_to_install_it_and_its_licence(
    tmp_path: Path, spec: InputSpec
) -> None:
    message = r"CC BY-NC-SA 4\.0.*pip install elpv-dataset"
    with pytest.raises(NotFound, match=message):
        elpv.load(tmp_path, spec)
    if importlib.util.find_spec("elpv_dataset") is None:
        with pytest.raises(NotFound, match=message):
            elpv.home()


def test_an_invalid_line_is_rejected_with_its_number(cells: Path, spec: InputSpec) -> None:
    with (cells / "labels.csv").open("a") as file:
        file.write("images/cell0000.png likely mono\n")
    with pytest.raises(InvalidInput, match="line 65"):
        elpv.load(cells, spec)
    (cells / "labels.csv").write_bytes("images/Zelle für Zelle.png 1.0 mono\n".encode("latin-1"))
    with pytest.raises(InvalidInput, match=r"labels\.csv is not the list of ELPV: it is not UTF-8 text"):
        elpv.load(cells, spec)


@pytest.mark.slow
def test_the_installed_package_has_the_figures_of_the_paper(spec: InputSpec) -> None:
    pytest.importorskip("elpv_dataset")
    dataset = elpv.load(elpv.home(), spec)
    assert len(dataset.train) + len(dataset.test) == 2624
    assert len(dataset.test) == pytest.approx(2624 / 4, abs=2)
    assert dataset.train.labels.sum() + dataset.test.labels.sum() == 821
