"""The tables of a run: their head, other versions' layouts, and damage."""

import json
import zlib

import numpy as np
import pytest

from cockpit.runs.directory import create
from cockpit.runs.history import RunReader
from cockpit.runs.tables import HEAD, LAYERS, STEPS, TableWriter, blank, orderly, read_table, table_bytes, write_table


def _rows(count):
    rows = blank(count, STEPS)
    rows["step"], rows["loss"] = np.arange(1, count + 1), 0.5
    return rows


def test_numpy_alone_reads_a_table(tmp_path):
    write_table(tmp_path / "steps.bin", _rows(3))
    mapped = np.memmap(tmp_path / "steps.bin", STEPS, mode="r", offset=HEAD)
    assert mapped["step"].tolist() == [1, 2, 3]
    assert mapped["loss"].tolist() == [0.5] * 3
    head = (tmp_path / "steps.bin").read_bytes()[: HEAD // 2].decode()
    assert json.loads(head.split(maxsplit=3)[3])[:2] == [["step", "<i8"], ["time", "<f8"]]


def test_a_table_of_another_layout_is_read_by_column_and_taken_over(tmp_path):
    path = tmp_path / "steps.bin"
    older = np.dtype([("step", "<i8"), ("loss", "<f8"), ("mood", "<f4")])
    rows = np.zeros(4, older)
    rows["step"], rows["loss"], rows["mood"] = [1, 2, 3, 4], 0.25, 7
    path.write_bytes(table_bytes(rows))
    seen = read_table(path, STEPS)
    assert seen["step"].tolist() == [1, 2, 3, 4]
    assert seen["loss"].tolist() == [0.25] * 4
    assert np.isnan(seen["grad_norm"]).all()
    writer = TableWriter(path, STEPS)
    writer.append(_rows(5)[4:])
    writer.close()
    assert read_table(path, STEPS)["step"].tolist() == [1, 2, 3, 4, 5]
    assert path.stat().st_size == HEAD + 5 * STEPS.itemsize


def test_any_flipped_byte_of_the_head_loses_no_row(tmp_path):
    path = tmp_path / "steps.bin"
    whole = table_bytes(_rows(3))
    for at in range(HEAD):
        damaged = bytearray(whole)
        damaged[at] ^= 0x15
        path.write_bytes(damaged)
        assert read_table(path, STEPS)["step"].tolist() == [1, 2, 3], at


def test_what_is_no_table_is_empty_and_moved_aside_by_a_writer(tmp_path):
    path = tmp_path / "steps.bin"
    path.write_bytes(bytes(range(256)) * 20)
    assert len(read_table(path, STEPS)) == 0
    writer = TableWriter(path, STEPS)
    writer.append(_rows(2))
    writer.close()
    assert read_table(path, STEPS)["step"].tolist() == [1, 2]
    assert path.with_suffix(".damaged").read_bytes() == bytes(range(256)) * 20


def test_a_head_cut_short_is_begun_anew(tmp_path):
    path = tmp_path / "layers.bin"
    path.write_bytes(table_bytes(blank(0, LAYERS))[:100])
    writer = TableWriter(path, LAYERS)
    writer.append(blank(2, LAYERS))
    writer.close()
    assert len(read_table(path, LAYERS)) == 2


@pytest.mark.parametrize("kind", ["|O", "V8", "<i8, 9999999", "<f16"])
def test_a_head_that_names_anything_but_plain_numbers_is_not_believed(tmp_path, kind):
    said = json.dumps([["step", kind]]).encode()
    half = (b"cockpit table %08x %s" % (zlib.crc32(said), said)).ljust(HEAD // 2 - 1) + b"\n"
    (tmp_path / "steps.bin").write_bytes(2 * half + b"x" * 800)
    assert len(read_table(tmp_path / "steps.bin", STEPS)) == 0


@pytest.mark.parametrize("bit", [0, 3, 7, 40, 63])
@pytest.mark.parametrize("at", [0, 1, 6, 11, 12])
def test_a_damaged_step_costs_its_own_row(tmp_path, bit, at):
    run = create(tmp_path, "one", "about: x\n", {})
    rows = _rows(13)
    rows["step"] *= 5
    rows["step"][at] ^= np.uint64(1 << bit).astype(np.int64)
    write_table(run.table("steps"), rows)
    reader = RunReader(run)
    reader.poll()
    left = reader.history.steps["step"].tolist()
    others = [5 * step for step in range(1, 14) if step != at + 1]
    assert left == sorted(left)
    # Where the wrong step and its neighbour would both fit, nobody can tell which is damaged.
    assert len(others) - sum(step in left for step in others) <= (bit < 40 or at == 1)


def test_a_table_in_order_is_not_copied_and_garbage_ends_it():
    rows = _rows(100)
    assert orderly(rows) is rows
    rows["step"][60:] = np.random.default_rng(0).integers(-(2**60), 2**60, 40)
    left = orderly(rows)["step"].tolist()
    assert left[:59] == list(range(1, 60)) and left == sorted(left)
