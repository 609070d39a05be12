"""Merkle trees are those of RFC 6962: known trees, and any tree against a second, plain reading of the RFC."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from suyuan.proof.tree import EMPTY, consistency, inclusion, leaf_hash, root_of, verify_consistency, verify_inclusion

LEAVES = [
    bytes.fromhex(text)
    for text in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
"""The reference tree of the Certificate Transparency test suites."""
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
A = "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7"
B = "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e"
C = "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4"
D = "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b"
E = "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0"
F = "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a"
PATHS = {(0, 8): [A, B, C], (5, 8): [D, E, ROOTS[3]], (2, 3): [ROOTS[1]], (1, 5): [ROOTS[0], B, D]}
GROWTH = {(1, 8): [A, B, C], (6, 8): [F, E, ROOTS[3]], (2, 5): [B, D], (1, 1): []}

HASHES = [leaf_hash(data) for data in LEAVES]
TREES = st.lists(st.binary(max_size=3).map(leaf_hash), min_size=1, max_size=40)


def test_the_reference_tree_has_its_known_roots() -> None:
    assert [root_of(HASHES[:size]).hex() for size in range(1, 9)] == ROOTS
    assert root_of([]) == EMPTY == hashlib.sha256().digest()


def test_the_reference_tree_has_its_known_paths() -> None:
    assert {key: [step.hex() for step in inclusion(HASHES[: key[1]], key[0])] for key in PATHS} == PATHS
    assert {key: [step.hex() for step in consistency(HASHES[: key[1]], key[0])] for key in GROWTH} == GROWTH


def plain_root(hashes: list[bytes]) -> bytes:
    """MTH of RFC 6962, 2.1, word for word."""
    if len(hashes) == 1:
        return hashes[0]
    split = max(1 << bit for bit in range(8) if 1 << bit < len(hashes))
    return hashlib.sha256(b"\x01" + plain_root(hashes[:split]) + plain_root(hashes[split:])).digest()


def plain_path(index: int, hashes: list[bytes]) -> list[bytes]:
    """PATH of RFC 6962, 2.1.1, word for word."""
    if len(hashes) == 1:
        return []
    split = max(1 << bit for bit in range(8) if 1 << bit < len(hashes))
    if index < split:
        return [*plain_path(index, hashes[:split]), plain_root(hashes[split:])]
    return [*plain_path(index - split, hashes[split:]), plain_root(hashes[:split])]


@given(TREES, st.data())
def test_any_tree_is_that_of_the_rfc(hashes: list[bytes], data: st.DataObject) -> None:
    index = data.draw(st.integers(0, len(hashes) - 1))
    assert root_of(hashes) == plain_root(hashes)
    assert inclusion(hashes, index) == plain_path(index, hashes)


@given(TREES, st.data())
def test_a_leaf_is_in_its_tree_at_its_place_and_nowhere_else(hashes: list[bytes], data: st.DataObject) -> None:
    size, root = len(hashes), root_of(hashes)
    index, other = data.draw(st.integers(0, size - 1)), data.draw(st.integers(-1, size))
    path = inclusion(hashes, index)
    assert verify_inclusion(hashes[index], index, size, path, root)
    if not 0 <= other < size or hashes[other] != hashes[index]:
        assert not verify_inclusion(hashes[index], other, size, path, root)
    for wrong in ([*path, root], path[:-1] if path else [root], [root, *path]):
        assert not verify_inclusion(hashes[index], index, size, wrong, root)
    assert not verify_inclusion(leaf_hash(b"other"), index, size, path, root)


@given(TREES, st.data())
def test_a_tree_that_grew_keeps_its_beginning_and_one_that_was_changed_does_not(
    hashes: list[bytes], data: st.DataObject
) -> None:
    new = len(hashes)
    old = data.draw(st.integers(1, new))
    path, old_root, new_root = consistency(hashes, old), root_of(hashes[:old]), root_of(hashes)
    assert verify_consistency(old, new, old_root, new_root, path)
    changed = [leaf_hash(b"another"), *hashes[1:old]]
    assert not verify_consistency(old, new, root_of(changed), new_root, path)
    assert not verify_consistency(old, new, old_root, root_of([*changed, *hashes[old:]]), path)
    for wrong in ([*path, new_root], path[:-1] if path else [new_root]):
        assert not verify_consistency(old, new, old_root, new_root, wrong)


@given(TREES, st.data())
def test_any_altered_bit_of_a_path_is_seen(hashes: list[bytes], data: st.DataObject) -> None:
    index = data.draw(st.integers(0, len(hashes) - 1))
    path, root = inclusion(hashes, index), root_of(hashes)
    if path:
        step, bit = data.draw(st.integers(0, len(path) - 1)), data.draw(st.integers(0, 255))
        flipped = (int.from_bytes(path[step], "big") ^ 1 << bit).to_bytes(32, "big")
        altered = [*path[:step], flipped, *path[step + 1 :]]
        assert not verify_inclusion(hashes[index], index, len(hashes), altered, root)


@pytest.mark.parametrize("index", [-1, 3])
def test_a_place_outside_the_tree_has_no_path(index: int) -> None:
    assert inclusion(HASHES[:3], 2)
    with pytest.raises(IndexError, match="no leaf"):
        inclusion(HASHES[:3], index)
    with pytest.raises(IndexError, match="none before it"):
        consistency(HASHES[:3], index + 1 if index > 0 else 0)
