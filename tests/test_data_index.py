"""A large folder is listed once: what changed is seen at the next start, and an index that lies is left aside."""

import json
import os
import zlib
from pathlib import Path

import numpy as np
import pytest

from cockpit.datasets import index
from cockpit.datasets.index import Index
from cockpit.datasets.layout import Files, survey


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(index, "WORTH", 1)
    return tmp_path / "cache" / "cockpit" / "folders"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a", "b", "c"):
        for each in ("2.PNG", "10.jpg", "x\n.png", "\udcff.png", "notes.txt", ".hidden.png"):
            put(tmp_path / "set" / name / each)
    return tmp_path / "set"


def put(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


def age(folder: Path) -> None:
    """As if nothing had been touched for an hour: what has just changed is listed again in any case."""
    for each in (folder, *folder.iterdir()):
        os.utime(each, (1e9, 1e9))


@pytest.fixture(autouse=True)
def long_ago(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test waits until its files are old; the one about that undoes it."""
    monkeypatch.setattr(index, "TICK", -1e12)


def walked(folder: Path) -> list[tuple[str, int]]:
    """What pathlib finds: (path, class)."""
    suffixes = {".png", ".jpg"}
    classes = sorted(each for each in folder.iterdir() if each.is_dir())
    return [
        (str(each), label)
        for label, inner in enumerate(classes)
        for each in sorted(inner.iterdir())
        if each.suffix.lower() in suffixes and not each.name.startswith(".")
    ]


def surveyed(folder: Path) -> list[tuple[str, int]]:
    files = survey(folder).splits["train"]
    return [(str(path), label) for path, label in zip(files.paths, files.labels.tolist(), strict=True)]


def listings(folder: Path) -> int:
    """How many folders have to be listed now."""
    known = Index(folder)
    for each in (folder, *(inner for inner in folder.iterdir() if inner.is_dir())):
        known.of(each)
    return known.listed


def test_the_second_start_lists_nothing_and_finds_the_same(folder: Path, cache: Path) -> None:
    first = survey(folder)
    assert surveyed(folder) == walked(folder)
    assert listings(folder) == 0
    assert [path.name for path in first.strangers] == [path.name for path in survey(folder).strangers] == ["notes.txt"] * 3
    (kept,) = cache.iterdir()
    assert kept.stat().st_mode & 0o777 == 0o600 and cache.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("change", ["added", "removed", "renamed", "class"])
def test_what_changed_is_listed_anew_alone(folder: Path, change: str) -> None:
    before = surveyed(folder)
    match change:
        case "added":
            put(folder / "b" / "new.png")
        case "removed":
            (folder / "b" / "10.jpg").unlink()
        case "renamed":
            (folder / "b" / "10.jpg").rename(folder / "b" / "11.jpg")
        case "class":
            put(folder / "d" / "new.png")
    assert listings(folder) == (2 if change == "class" else 1)
    assert surveyed(folder) == walked(folder) != before
    assert listings(folder) == 0


def test_what_has_just_changed_is_listed_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index, "TICK", 3600.0)
    surveyed(folder)
    assert listings(folder) == 4


def test_a_time_set_back_by_hand_hides_no_change(folder: Path) -> None:
    age(folder)
    surveyed(folder)
    put(folder / "b" / "new.png")
    age(folder)
    assert surveyed(folder) == walked(folder)


def test_no_flipped_byte_is_believed(folder: Path, cache: Path) -> None:
    expected = surveyed(folder)
    (kept,) = cache.iterdir()
    whole = kept.read_bytes()
    for at in range(0, len(whole), 7):
        kept.write_bytes(whole[:at] + bytes([whole[at] ^ 0x15]) + whole[at + 1 :])
        assert surveyed(folder) == expected, at
    kept.write_bytes(whole[: len(whole) // 2])
    assert surveyed(folder) == expected
    assert kept.read_bytes().endswith(whole[-100:]), "written anew"


@pytest.mark.parametrize("name", ["../../etc/passwd.png", "..", ".png", "", "sub/one.png"])
def test_a_name_that_leads_elsewhere_is_refused(folder: Path, cache: Path, name: str) -> None:
    expected = surveyed(folder)
    forge(cache, name)
    assert surveyed(folder) == expected


def test_other_names_are_believed(folder: Path, cache: Path) -> None:
    surveyed(folder)
    forge(cache, "lies.png")
    assert (str(folder / "a" / "lies.png"), 0) in surveyed(folder), "else the test above proves nothing"


def forge(cache: Path, name: str) -> None:
    """Write another name into an index, and let the index say that this is right."""
    (kept,) = cache.iterdir()
    head, body = kept.read_bytes().split(b"\n", 1)
    told, body = json.loads(head), body.replace(b"10.jpg\0", name.encode() + b"\0")
    told["crc"] = zlib.crc32(body)
    told["folders"] = [[*each[:4], each[4] + (len(name) - 6) * bool(each[4]), *each[5:]] for each in told["folders"]]
    kept.write_bytes(json.dumps(told).encode() + b"\n" + body)


@pytest.mark.parametrize("text", ["", "null", "[1]", '{"kind": 1}', "[" * 5000, '{"kind": "K", "crc": 0, "folders": [[1, 2]]}'])
def test_what_is_no_index_is_written_anew(folder: Path, cache: Path, text: str) -> None:
    expected = surveyed(folder)
    (kept,) = cache.iterdir()
    kept.write_text(text.replace("K", index.KIND) + "\n")
    assert surveyed(folder) == expected
    assert listings(folder) == 0


@pytest.mark.skipif(os.getuid() == 0, reason="root may write anywhere")
def test_a_closed_cache_costs_only_time(folder: Path, cache: Path) -> None:
    cache.parent.mkdir(parents=True)
    cache.parent.chmod(0o500)
    assert surveyed(folder) == walked(folder)
    assert listings(folder) == 4


def test_a_cache_that_is_a_file_or_a_pipe_costs_only_time(folder: Path, cache: Path) -> None:
    cache.parent.mkdir(parents=True)
    cache.touch()
    assert surveyed(folder) == walked(folder)
    cache.unlink()
    surveyed(folder)
    (kept,) = cache.iterdir()
    kept.unlink()
    os.mkfifo(kept)
    assert surveyed(folder) == walked(folder)


def test_paths_are_a_sequence(folder: Path) -> None:
    files = survey(folder).splits["train"]
    assert isinstance(files, Files) and len(files) == len(files.paths) == 12
    every = list(files.paths)
    assert [files.paths[place] for place in range(12)] == every and files.paths[-1] == every[-1]
    assert list(files.paths[2:9:3]) == every[2:9:3]
    assert [str(folder / name) for name in files.paths.under(folder)] == [str(path) for path in every]
    some = files.where(np.arange(12) % 5 == 1)
    assert list(some.paths) == every[1::5] and some.labels.tolist() == [0, 1, 2]
    with pytest.raises(IndexError):
        files.paths[12]
