"""Goal: what a withdrawn key takes along is what only its packages brought, and nothing else.

Method: real folders and packages; a library without a package is held against one that is loaded
from a folder which never had it.
"""

import dataclasses

import numpy as np
import pytest

from gateway.library.changes import install, keep_specimen, trust
from gateway.library.folder import load
from gateway.library.holdings import Holdings, withdrawn, without
from gateway.spectra.library import BandArrays
from tests.gateway.library.national import KEY, SUBSTANCE_ID, packed, specimen, urea, write_library

HELD = Holdings(
    keys={"a.pub": "k1", "b.pub": "k2", "c.pub": "k2"},
    keys_listed=True,
    signers={"one": "k1", "two": "k2"},
    labels={},
    bringers={},
)


@pytest.mark.parametrize(
    "keys,gone",
    [
        ({"a.pub": "k1", "b.pub": "k2"}, {}),
        ({"other.pub": "k1", "c.pub": "k2"}, {}),
        ({"c.pub": "k2"}, {"one": "k1"}),
        ({"a.pub": "k1"}, {"two": "k2"}),
        ({"a.pub": "k3", "b.pub": "k2"}, {"one": "k1"}),
        ({"a.pub": "", "b.pub": "k2"}, {}),
        ({"new.pub": "", "b.pub": "k2"}, {"one": "k1"}),
        ({}, {"one": "k1", "two": "k2"}),
    ],
)
def test_a_key_is_withdrawn_when_no_file_holds_it_and_its_own_is_not_damaged(keys, gone):
    assert withdrawn(HELD, dataclasses.replace(HELD, keys=keys)) == gone


def test_a_folder_of_keys_that_cannot_be_read_withdraws_nothing(tmp_path):
    trust(tmp_path, KEY.public_key())
    install(tmp_path, packed())
    before = load(tmp_path).holdings
    for number in range(65):
        (tmp_path / "trusted" / f"{number}.pub").touch()
    now = load(tmp_path, strict=False)
    assert "at most 64" in now.faults[0]
    assert withdrawn(before, now.holdings) == {}


def put_own(folder):
    write_library(folder, seed=5)


def put_own_of_a_shipped_one(folder):
    keep_specimen(folder, urea(6))


def put_regional(folder):
    """Shares the substance and one specimen with the national package."""
    install(folder, packed([specimen(1), specimen(7)], package_id="regional"))


@pytest.mark.parametrize(
    "others",
    [
        (),
        (put_own_of_a_shipped_one,),
        (put_own,),
        (put_regional,),
        (put_regional, put_own, put_own_of_a_shipped_one),
    ],
)
def test_the_rest_is_what_a_folder_without_the_package_gives(tmp_path, others):
    whole, rest = tmp_path / "whole", tmp_path / "rest"
    for folder in (whole, rest):
        trust(folder, KEY.public_key())
        for put in others:
            put(folder)
    install(whole, packed([specimen(1), urea(2)]))
    loaded, wanted = load(whole), load(rest)
    library, holdings = without(loaded.library, loaded.holdings, frozenset({"national"}))
    assert library.entries == wanted.library.entries
    assert library.substances == wanted.library.substances
    assert library.active_ids == wanted.library.active_ids
    for column in dataclasses.fields(BandArrays):
        one, other = (getattr(each.arrays, column.name) for each in (library, wanted.library))
        np.testing.assert_array_equal(one, other)
    assert holdings == wanted.holdings
    assert SUBSTANCE_ID in loaded.library.substances
    if put_own not in others:  # else what is called its own differs: the package had it first
        assert library.version == wanted.library.version
