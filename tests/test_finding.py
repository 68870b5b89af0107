"""Which run is meant: no two share an id, and the exact name is no prefix."""

import random
import threading
from itertools import chain, repeat

import pytest

from cockpit.runs.directory import RunError, create, find, list_runs


def test_an_id_that_is_taken_is_drawn_again(runs, monkeypatch):
    drawn = iter(["aaaa", "aaaa", "aaaa", "bbbb"])
    monkeypatch.setattr("cockpit.runs.directory.secrets.token_hex", lambda length: next(drawn))
    ids = [create(runs, name, "seed: 0\n", {}).id for name in ("one", "two")]
    assert ids == ["aaaa", "bbbb"]
    assert len(list(runs.iterdir())) == len(list_runs(runs)) == 2, "no folder of a try is left"


def test_where_all_short_ids_are_taken_they_grow(runs, monkeypatch):
    monkeypatch.setattr("cockpit.runs.directory.secrets.token_hex", lambda length: "ab" * length)
    assert [create(runs, "same", "seed: 0\n", {}).id for _ in range(3)] == ["abab", "ababab", "abababab"]


def test_runs_that_are_made_at_once_have_ids_of_their_own(runs, monkeypatch):
    draw, made, gate = random.Random(0), [], threading.Barrier(8)
    monkeypatch.setattr("cockpit.runs.directory.secrets.token_hex", lambda length: f"{draw.randrange(40):0{2 * length}x}")

    def make(name):
        gate.wait(10)
        for _ in range(4):
            made.append(create(runs, name, "seed: 0\n", {}).id)

    threads = [threading.Thread(target=make, args=(f"of{n}",)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == len(set(made)) == 32


def test_an_exact_name_wins_over_longer_ones(runs, monkeypatch):
    ids = chain(["0001", "0002", "0003", "0004", "0005"], repeat(""))
    monkeypatch.setattr("cockpit.runs.directory.secrets.token_hex", lambda length: next(ids))
    small, wide, longer, twin, other = (create(runs, n, "seed: 0\n", {}) for n in ("net", "net2", "0002", "twin", "twin"))
    assert find(runs, "net") == small and find(runs, "net2") == wide
    assert find(runs, "0002") == wide, "an id comes before a name"
    assert find(runs, "0003") == longer
    for wanted in ("ne", "twin"):
        with pytest.raises(RunError, match=r"could be any of 2 runs.*say more of the id"):
            find(runs, wanted)
    other.path.rename(other.path.with_name("2020-01-01_000000_else_0004"))
    with pytest.raises(RunError, match=r"_twin_0004, 2020-01-01_000000_else_0004; say the folder"):
        find(runs, "0004")
    assert find(runs, twin.path.name) == twin
