"""What the catalogue answers on the day before, on, and after a change."""

from datetime import date

import pytest

from suyuan.catalogue.catalogue import Catalogue
from suyuan.catalogue.content import Content
from suyuan.catalogue.mapping import Edge, Standing, Transcode, circles
from suyuan.catalogue.no_code import NATIONAL_EXEMPTIONS, Exemption, NoCodeEntry, VirtualCode
from suyuan.catalogue.packages import Package
from suyuan.catalogue.parties import Delegation, Party
from suyuan.catalogue.prefixes import MakerScheme, Prefix, ratio_readings
from suyuan.catalogue.product import Product, same_enterprise

BEFORE, ON, AFTER = date(2025, 6, 30), date(2025, 7, 1), date(2025, 7, 2)
AMOXICILLIN = "XJ01CAA001E001010100123"
CEFALEXIN = "XJ01DBA003E001010100123"
RENAMED = "XJ01CAA001E001015100123"
KEY = "trace20:8123456"


def mapped(*, reviewed: bool = True, right: str = AMOXICILLIN, since: date = date.min, until: date = date.max) -> Edge:
    return Edge(KEY, f"nhsa:{right}", reviewed, reviewer="审核员" if reviewed else "", valid_from=since, valid_to=until)


def product(nhsa: str = AMOXICILLIN, **fields: object) -> Product:
    return Product(nhsa, generic="阿莫西林", spec="0.25g*24粒", **fields)  # type: ignore[arg-type]


def test_a_party_is_what_it_was_on_the_day_of_the_sale() -> None:
    catalogue = Catalogue(
        Content(
            parties=[
                Party("P1", "甲药店", standing="suspended", valid_from=ON, valid_to=ON),
                Party("P1", "甲药店", valid_to=BEFORE),
                Party("P1", "甲药店", standing="ended", valid_from=AFTER),
            ]
        )
    )
    standings = [party.standing for day in (BEFORE, ON, AFTER) if (party := catalogue.party("P1", day)) is not None]
    assert standings == ["active", "suspended", "ended"]
    assert catalogue.party("P2", ON) is None


def test_a_party_speaks_for_itself_and_for_its_grantor_until_the_last_day_of_the_delegation() -> None:
    catalogue = Catalogue(Content(delegations=[Delegation("P1", "V1", "代传", BEFORE, ON)]))
    assert catalogue.may_speak("P1", "P1", AFTER)
    spoken = [catalogue.may_speak("P1", "V1", day) for day in (date(2025, 6, 29), BEFORE, ON, AFTER)]
    assert spoken == [False, True, True, False]
    assert not catalogue.may_speak("V1", "P1", ON)
    assert not catalogue.may_speak("P1", "V2", ON)
    assert catalogue.speaks_for("V1", ON) == ["P1"]
    assert catalogue.speaks_for("V1", AFTER) == []


def test_a_delegate_whose_own_standing_has_ended_speaks_for_nobody_else() -> None:
    catalogue = Catalogue(
        Content(
            parties=[
                Party("V1", kind="vendor", valid_to=ON),
                Party("V1", kind="vendor", standing="ended", valid_from=AFTER),
            ],
            delegations=[Delegation("P1", "V1", "", BEFORE, date(2026, 1, 1))],
        )
    )
    assert catalogue.may_speak("P1", "V1", ON)
    assert not catalogue.may_speak("P1", "V1", AFTER)
    assert catalogue.may_speak("V1", "V1", AFTER)


def test_a_prefix_belongs_to_the_product_it_was_mapped_to_on_that_day() -> None:
    catalogue = Catalogue(
        Content(
            edges=[mapped(until=BEFORE), mapped(right=CEFALEXIN, since=ON)], products=[product(), product(CEFALEXIN)]
        )
    )
    before, after = catalogue.product_of(KEY, BEFORE), catalogue.product_of(KEY, ON)
    assert before is not None
    assert after is not None
    assert (set(before.nhsa), set(after.nhsa)) == ({AMOXICILLIN}, {CEFALEXIN})
    assert catalogue.product_of("trace20:8999999", ON) is None


def test_a_prefix_nobody_maps_is_identified_but_stands_for_no_product() -> None:
    catalogue = Catalogue(Content(prefixes=[Prefix(KEY, "阿莫西林", level=2, ratio="1:5:10")]))
    identified = catalogue.identified(KEY, ON)
    assert identified is not None
    assert (identified.ratio, identified.system) == ("1:5:10", "trace20")
    assert catalogue.product_of(KEY, ON) is None
    assert catalogue.same_product(KEY, AMOXICILLIN, ON) is None


def test_what_a_package_holds_counts_from_the_day_it_was_reviewed() -> None:
    catalogue = Catalogue(
        Content(
            edges=[mapped()],
            products=[product(splittable=True)],
            packages=[
                Package(KEY, 20, valid_to=BEFORE),
                Package(KEY, 24, units_reviewed=True, reviewer="审核员", valid_from=ON),
            ],
        )
    )
    before, after = catalogue.product_of(KEY, BEFORE), catalogue.product_of(KEY, ON)
    assert before is not None
    assert after is not None
    assert (before.units, before.units_reviewed) == (20, False)
    assert (after.units, after.units_reviewed) == (24, True)
    assert after.splittable
    assert after.name == "阿莫西林 0.25g*24粒"


def test_a_swap_shows_only_against_a_reviewed_mapping() -> None:
    reviewed, unreviewed = Catalogue(Content(edges=[mapped()])), Catalogue(Content(edges=[mapped(reviewed=False)]))
    assert reviewed.same_product(KEY, AMOXICILLIN, ON) is True
    assert reviewed.same_product(KEY, CEFALEXIN, ON) is False
    assert unreviewed.same_product(KEY, AMOXICILLIN, ON) is None
    assert unreviewed.same_product(KEY, CEFALEXIN, ON) is None


def test_a_code_that_waits_for_review_beside_a_reviewed_one_is_neither_same_nor_swapped() -> None:
    other = "XJ01CAA001E001010200123"
    catalogue = Catalogue(Content(edges=[mapped(), mapped(reviewed=False, right=other)]))
    assert catalogue.same_product(KEY, AMOXICILLIN, ON) is True
    assert catalogue.same_product(KEY, other, ON) is None
    assert catalogue.same_product(KEY, CEFALEXIN, ON) is False


def test_one_prefix_may_stand_for_several_codes() -> None:
    other = "XJ01CAA001E001010200123"
    catalogue = Catalogue(Content(edges=[mapped(), mapped(right=other)]))
    assert catalogue.same_product(KEY, AMOXICILLIN, ON) is True
    assert catalogue.same_product(KEY, other, ON) is True


def test_a_renamed_code_is_the_same_product_from_the_day_of_the_renaming() -> None:
    catalogue = Catalogue(
        Content(
            edges=[mapped()], transcodes=[Transcode(RENAMED, AMOXICILLIN, valid_from=ON)], products=[product(RENAMED)]
        )
    )
    assert catalogue.same_product(KEY, RENAMED, BEFORE) is False
    assert catalogue.same_product(KEY, RENAMED, ON) is True
    assert catalogue.current_code(RENAMED, BEFORE) == RENAMED
    assert catalogue.current_code(RENAMED, ON) == AMOXICILLIN


def test_transcodes_are_followed_through_several_steps_and_a_circle_names_nothing() -> None:
    chain = [Transcode("A", "B"), Transcode("B", "C"), Transcode("C", "D", valid_from=ON)]
    circle = [Transcode("E", "F"), Transcode("F", "G"), Transcode("G", "E"), Transcode("H", "E")]
    catalogue = Catalogue(Content(transcodes=chain + circle))
    assert [catalogue.current_code("A", day) for day in (BEFORE, ON)] == ["C", "D"]
    assert [catalogue.current_code(code, ON) for code in "EFGH"] == ["E", "F", "G", "H"]
    assert sorted(circles(chain + circle)) == ["E", "F", "G"]
    assert circles(chain) == []


def test_a_code_no_longer_valid_is_disabled_since_a_day_rather_than_not_found() -> None:
    catalogue = Catalogue(
        Content(
            products=[product(valid_from=ON, valid_to=ON), product(RENAMED, valid_to=BEFORE)],
            transcodes=[Transcode(RENAMED, AMOXICILLIN, valid_from=ON)],
        )
    )
    assert catalogue.standing(AMOXICILLIN, BEFORE) == Standing("future", ON)
    assert catalogue.standing(AMOXICILLIN, ON) == Standing("known", ON)
    assert catalogue.standing(AMOXICILLIN, AFTER) == Standing("disabled", AFTER)
    assert catalogue.standing(AMOXICILLIN, AFTER).words == "disabled since 2025-07-02"
    assert catalogue.standing(RENAMED, ON).words == f"disabled since 2025-07-01; now {AMOXICILLIN}"
    assert catalogue.standing(CEFALEXIN, ON).words == "not in the catalogue"
    assert catalogue.product(AMOXICILLIN, AFTER) is None


def test_links_are_found_from_both_ends_on_their_days() -> None:
    edge = Edge(KEY, "ean13:6901234567892", valid_to=ON)
    catalogue = Catalogue(Content(edges=[edge, mapped()]))
    assert catalogue.linked(KEY, "ean13", ON) == [edge]
    assert catalogue.linked("ean13:6901234567892", "trace20", ON) == [edge]
    assert catalogue.linked(KEY, "ean13", AFTER) == []
    assert catalogue.linked(KEY, "material", ON) == []


def test_slices_and_granules_are_exempt_and_tablets_are_not() -> None:
    slices = Product("T000112345", "herbal_slices", exempt="herbal_slices", identity="none")
    granules = Product("T000212345", "granules", exempt="granules", identity="none")
    catalogue = Catalogue(Content(products=[slices, granules, product()]))
    assert catalogue.exemption(slices.nhsa, "outpatient", split=False, on=ON) == "herbal_slices"
    assert catalogue.exemption(granules.nhsa, "pharmacy", split=False, on=ON) == "granules"
    assert catalogue.exemption("T999912345", "pharmacy", split=False, on=ON) == "herbal_slices"
    assert catalogue.exemption(AMOXICILLIN, "pharmacy", split=False, on=ON) == ""
    assert catalogue.exemption(CEFALEXIN, "pharmacy", split=True, on=ON) == ""


def test_doses_from_a_split_pack_are_exempt_for_inpatients_only() -> None:
    catalogue = Catalogue(Content(products=[product(splittable=True)]))
    assert catalogue.exemption(AMOXICILLIN, "inpatient", split=True, on=ON) == "inpatient_split"
    assert catalogue.exemption(AMOXICILLIN, "inpatient", split=False, on=ON) == ""
    assert catalogue.exemption(AMOXICILLIN, "outpatient", split=True, on=ON) == ""


def test_an_exemption_ends_with_the_policy_that_gave_it() -> None:
    granules = Product("T000212345", "granules", exempt="granules", identity="none")
    ending = [Exemption("granules", name="granules", valid_to=ON), NATIONAL_EXEMPTIONS[0]]
    catalogue = Catalogue(Content(products=[granules], exemptions=ending))
    assert catalogue.exemption(granules.nhsa, "pharmacy", split=False, on=ON) == "granules"
    assert catalogue.exemption(granules.nhsa, "pharmacy", split=False, on=AFTER) == ""


def test_declared_legacy_stock_counts_until_its_last_day_and_at_its_own_institution() -> None:
    legacy = NoCodeEntry("P1", AMOXICILLIN, "legacy", 30, "截止日前库存", valid_to=ON)
    unreadable = NoCodeEntry("P1", AMOXICILLIN, "unreadable", 2, "标签破损")
    catalogue = Catalogue(Content(no_code=[unreadable, legacy]))
    assert catalogue.no_code("P1", AMOXICILLIN, ON) == legacy
    assert legacy.until == ON
    assert catalogue.no_code("P1", AMOXICILLIN, AFTER) == unreadable
    assert catalogue.no_code("P2", AMOXICILLIN, ON) is None


def test_a_virtual_code_is_bound_to_its_institution_product_and_quantity() -> None:
    virtual = VirtualCode("maker:virtual:000000000001", "P1", AMOXICILLIN, 3, "中药制剂无码", valid_to=ON)
    catalogue = Catalogue(Content(virtual_codes=[virtual]))
    assert catalogue.virtual("maker:virtual:000000000001") == virtual
    assert virtual.until == ON
    assert catalogue.virtual("trace20:81234567890123456789") is None


def test_registered_schemes_become_rules_for_recognition() -> None:
    catalogue = Catalogue(
        Content(maker_schemes=[MakerScheme("acme", r"ACME(?P<serial>\d{4})"), *Content().maker_schemes])
    )
    acme, virtual = catalogue.maker_rules
    code, issued = acme.read("ACME0001"), virtual.read("SYV000000000001")
    assert code is not None
    assert issued is not None
    assert (code.key, issued.key) == ("maker:acme:0001", "maker:virtual:000000000001")


@pytest.mark.parametrize(
    ("literal", "readings"),
    [
        ("1:5:2500", ((1, 500, 2500), (1, 2500, 12500))),
        ("1:5:10", ((1, 2, 10), (1, 10, 50))),
        ("1:10", ((1, 10),)),
        ("1", ((1,),)),
        ("1:3:10", ((1, 10, 30),)),
        ("2:10", ()),
        ("", ()),
        ("1比5", ()),
    ],
)
def test_a_ratio_is_read_in_every_way_it_can_be_meant(literal: str, readings: tuple[tuple[int, ...], ...]) -> None:
    assert ratio_readings(literal) == readings


def test_three_in_one_compares_the_enterprise_and_says_nothing_without_both_codes() -> None:
    assert same_enterprise("ZD03AAA0043010100166", "86900166000077") is True
    assert same_enterprise("ZD03AAA0043010100167", "86900166000077") is False
    assert same_enterprise("C0101010011303807555", "86900166000077") is None
    assert same_enterprise("ZD03AAA0043010100166", "") is None


@pytest.mark.parametrize(
    ("code", "zh", "en", "province"),
    [
        ("440305", "广东省深圳市南山区", "Guangdong 深圳市 南山区", "440000"),
        ("110101", "北京市东城区", "Beijing 东城区", "110000"),
        ("429004", "湖北省仙桃市", "Hubei 仙桃市", "420000"),
        ("660000", "新疆生产建设兵团", "Xinjiang Production and Construction Corps", "660000"),
        ("660102", "新疆生产建设兵团 (660102)", "Xinjiang Production and Construction Corps (660102)", "660000"),
        ("440399", "广东省深圳市 (440399)", "Guangdong 深圳市 (440399)", "440000"),
        ("810000", "香港特别行政区", "Hong Kong", "810000"),
        ("991234", "991234", "991234", ""),
        ("", "", "", ""),
    ],
)
def test_a_division_is_named_from_its_province_down(code: str, zh: str, en: str, province: str) -> None:
    catalogue = Catalogue(Content())
    assert catalogue.region_name(code) == zh
    assert catalogue.region_name(code, "en") == en
    assert catalogue.province(code) == province
