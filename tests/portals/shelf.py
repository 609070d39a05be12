"""A shelf of boxes in a portal's node: one for each thing that a citizen may learn."""

from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec
from portal import Portal, content
from story import (
    CHINA,
    GS1_DRUG,
    GTIN,
    HOSPITAL_A,
    HOSPITAL_B,
    IMPLANT,
    MAKER,
    PHARMACY_P,
    PHARMACY_Q,
    SPLITTABLE,
    VIRTUAL,
    WHOLE,
    Story,
)

from suyuan.catalogue.content import Content
from suyuan.catalogue.leaflets import Leaflet
from suyuan.node import Node

NAMES = {
    PHARMACY_P: ("示例大药房（天河店）", "440106", False),
    PHARMACY_Q: ("示例大药房（南山店）", "440305", False),
    HOSPITAL_A: ("示例市第一人民医院", "440103", False),
    HOSPITAL_B: ("示例市精神卫生中心", "440106", True),
    MAKER: ("示例制药有限公司", "440100", False),
}
"""Name, division and whether only kind and city may be told."""

PRODUCTS = {
    SPLITTABLE: ("阿莫西林", "amoxicillin", "示例阿莫", "胶囊", "0.25g*24粒", "国药准字H20990001"),
    WHOLE: ("氯化钠注射液", "sodium chloride", "", "注射剂", "0.9% 100ml*1瓶", "国药准字H20990002"),
    GS1_DRUG: ("依折麦布", "ezetimibe", "", "片剂", "10mg*10片", "国药准字HJ20990003"),
    IMPLANT: ("冠脉支架", "coronary stent", "", "", "3.0mm*18mm", ""),
}
CARTON = "(00)095200000123456788"


@dataclass
class Shelf:
    """Codes by what is known of them."""

    none: str
    one: str
    gs1: str
    several: str
    split: str
    undone: str
    sensitive: str
    recalled: str
    expired: str
    carton: str = CARTON
    lot: str = f"(01){GTIN}(17)391231(10)L7"
    retail: str = "6901234567892"
    virtual: str = VIRTUAL
    unknown: str = "hello world"


def named() -> Content:
    """The portal's field, with names that a person can read."""
    field = content()
    field.products = [
        msgspec.structs.replace(
            row,
            **dict(zip(("generic", "english", "trade", "form", "spec", "approval"), PRODUCTS[row.nhsa], strict=True)),
            company_name=NAMES[MAKER][0],
            list_class="甲",
            synthetic=True,
        )
        if row.nhsa in PRODUCTS
        else row
        for row in field.products
    ]
    field.leaflets = [Leaflet(PRODUCTS[SPLITTABLE][5], "演示：见盒内说明书", "演示：遵医嘱", synthetic=True)]
    field.parties = [
        msgspec.structs.replace(row, name=NAMES[row.code][0], region=NAMES[row.code][1], sensitive=NAMES[row.code][2])
        if row.code in NAMES
        else row
        for row in field.parties
    ]
    return field


def fill(portal: Portal) -> Shelf:
    """Put the boxes into the folder of a portal that does not run yet."""
    story = Story(content=named(), start=datetime.now(CHINA).replace(hour=9) - timedelta(days=12))
    with Node.open(portal.folder, lambda: story.now) as node:
        node.tables.save_catalogue(named())
        node.reload_catalogue()
        story.desk = node.desk
        return _told(story)


def _told(story: Story) -> Shelf:
    def made(product: str = WHOLE, lot: str = "L1", expiry: str = "2039-12-31") -> str:
        box = story.new_box(product)
        story.send_table(MAKER, "produced", {"code": box, "lot": lot, "expiry": expiry})
        return box

    shelf = Shelf(
        none=made(),
        one=made(),
        gs1=story.new_box(GS1_DRUG, lot="L1", expiry="391231"),
        several=made(),
        split=made(SPLITTABLE),
        undone=made(),
        sensitive=made(),
        recalled=made(lot="L9"),
        expired=made(lot="L2", expiry="2020-01-31"),
    )
    story.wait(days=2)
    for number, box in enumerate((shelf.one, shelf.gs1, shelf.several, shelf.undone)):
        story.report_sale(PHARMACY_P, box, receipt=f"R{number}")
    story.report_sale(HOSPITAL_B, shelf.sensitive, receipt="R1")
    for number in range(3):
        story.wait(hours=1)
        story.report_sale(PHARMACY_P, shelf.split, receipt=f"S{number}", product=SPLITTABLE, quantity="8", split=True)
    story.give_back(PHARMACY_P, shelf.undone, receipt="R3")
    story.wait(days=3)
    story.report_sale(PHARMACY_Q, shelf.several, receipt="Q1", person="person 2")
    order = {"code": shelf.recalled, "scope": "batch", "lot": "L9", "reason": "含量不合格"}
    story.send_table(MAKER, "hold_set", order)
    story.send_table(MAKER, "packed", *({"code": box, "parent": CARTON} for box in (made(), made())))
    return shelf
