"""The synthetic catalogue keeps to the verified grammars and looks like the real one where that was measured."""

import re
from datetime import date
from functools import cache

import pytest

from suyuan.catalogue import exchange
from suyuan.catalogue.catalogue import Catalogue
from suyuan.catalogue.columns import notes
from suyuan.catalogue.content import TABLES, Content
from suyuan.catalogue.prefixes import ratio_readings
from suyuan.catalogue.product import APPROVAL, NHSA, STD_CODE, same_enterprise
from suyuan.catalogue.synthetic import generics, synthetic_catalogue
from suyuan.codes.check_digit import has_valid_check_digit

ON = date(2026, 3, 1)


@cache
def content() -> Content:
    return synthetic_catalogue(7)


def test_the_same_seed_gives_the_same_catalogue_and_another_seed_another() -> None:
    assert synthetic_catalogue(7, 300) == synthetic_catalogue(7, 300)
    assert synthetic_catalogue(7, 300) != synthetic_catalogue(8, 300)


@pytest.mark.parametrize("count", [1, 40, 2000])
def test_as_many_products_are_valid_today_as_were_asked_for(count: int) -> None:
    rows = synthetic_catalogue(3, count).products
    assert len([row for row in rows if row.valid_to == date.max]) == count
    assert len({row.nhsa for row in rows}) == len(rows)


def test_too_many_products_are_refused_with_words() -> None:
    with pytest.raises(ValueError, match="ask for fewer"):
        synthetic_catalogue(1, 10_000_000)


def test_every_code_follows_its_grammar_and_check_digit() -> None:
    for row in content().products:
        assert NHSA.fullmatch(row.nhsa)
        assert has_valid_check_digit(row.ean13)
        assert not row.std_code or (STD_CODE.fullmatch(row.std_code) and has_valid_check_digit(row.std_code))
        assert not row.approval or APPROVAL.fullmatch(row.approval)
    for prefix in content().prefixes:
        assert re.fullmatch(r"trace20:8\d{6}|gs1:\d{14}|ma:MA\.156\.M0\.\d{6}\.\d{8}", prefix.product_key)
        if prefix.system == "gs1":
            assert has_valid_check_digit(prefix.product_key.removeprefix("gs1:"))


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_enterprise_digits_agree_as_often_as_in_reality(seed: int) -> None:
    rows = synthetic_catalogue(seed, 3000).products
    agree = [same for row in rows if (same := same_enterprise(row.nhsa, row.std_code)) is not None]
    assert 0.99 < sum(agree) / len(agree) < 1


def test_every_level_has_its_own_prefix_and_its_contents_follow_the_ratio() -> None:
    prefixes = {row.product_key: row for row in content().prefixes}
    packages = {row.product_key: row for row in content().packages}
    assert len(prefixes) == len(content().prefixes)
    assert prefixes.keys() == packages.keys()
    for key, package in packages.items():
        if not package.inner:
            assert prefixes[key].level == 1
            continue
        inner = packages[package.inner]
        assert prefixes[key].level == prefixes[package.inner].level + 1
        assert package.units == inner.units * package.inner_count
        boxes = [ratio[prefixes[key].level - 1] for ratio in ratio_readings(prefixes[key].ratio)]
        units_a_box = package.units // boxes[0]
        assert units_a_box * boxes[0] == package.units


def test_all_kinds_are_there_and_every_row_is_marked_synthetic() -> None:
    rows = content().products
    assert {row.kind for row in rows} == {"western", "tcm", "consumable", "herbal_slices", "granules"}
    assert {row.identity for row in rows if row.kind == "consumable"} == {"serial", "lot"}
    assert all(row.exempt == row.kind for row in rows if row.kind in ("herbal_slices", "granules"))
    assert {row.system for row in content().prefixes} == {"trace20", "gs1", "ma"}
    assert any(row.product_key.startswith("trace20:89") for row in content().prefixes)
    assert any(row.splittable for row in rows)
    assert all(row.price > 0 for row in rows)
    assert all(row.synthetic for row in rows)
    assert all(row.synthetic for row in content().prefixes)
    assert all(row.synthetic for row in content().parties)
    assert all("合成" in row.company_name for row in rows)
    assert len(generics()) > 250


def test_the_generic_names_are_each_listed_once() -> None:
    assert len({(row.kind, row.generic) for row in generics()}) == len(generics())
    assert all(row.english for row in generics())


def test_a_scanned_prefix_leads_to_its_product_and_a_renamed_code_to_its_successor() -> None:
    catalogue = Catalogue(content())
    mapped = [catalogue.product_of(row.product_key, ON) for row in content().prefixes]
    assert 0.97 < sum(edge is not None for edge in mapped) / len(mapped) < 1
    assert {edge.reviewed for edge in mapped if edge is not None} == {True, False}
    step = content().transcodes[0]
    assert catalogue.current_code(step.former, ON) == step.code
    assert catalogue.product(step.former, ON) is None
    assert catalogue.standing(step.former, ON).state == "transcoded"
    key = next(edge.left for edge in content().edges if edge.right == f"nhsa:{step.former}")
    assert catalogue.product_of(key, date(2024, 12, 31)) != catalogue.product_of(key, date(2025, 1, 1))


def test_the_importer_takes_every_row_of_it() -> None:
    for table in TABLES:
        rows = getattr(content(), table.name)
        assert [note for row in rows for note in notes(row) if not note.warning] == []
        data = exchange.export_table(content(), table.name)
        back, report = exchange.import_table(Content(**{table.name: []}), table.name, data)
        assert getattr(back, table.name) == rows
        assert report.lines_rejected == 0
