"""The citizen's pages as a browser without scripts gets them: every outcome, two languages, photo, shared address."""

import html
import re
from collections.abc import Iterator
from urllib.parse import quote

import httpx
import pytest
from portal import Portal
from shelf import NAMES, Shelf, fill
from story import GTIN, HOSPITAL_B

from suyuan.codes.barcode import draw, draw_sheet


@pytest.fixture(scope="module")
def shelved(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Portal, Shelf]]:
    portal = Portal(tmp_path_factory.mktemp("citizen") / "node")
    shelf = fill(portal)
    with portal:
        yield portal, shelf


@pytest.fixture(scope="module")
def shelf(shelved: tuple[Portal, Shelf]) -> Shelf:
    return shelved[1]


@pytest.fixture(scope="module")
def client(shelved: tuple[Portal, Shelf]) -> Iterator[httpx.Client]:
    with shelved[0].client(headers={"accept-language": "zh-CN", "accept": "text/html"}) as opened:
        yield opened


def told(client: httpx.Client, code: str, **more: str) -> str:
    answered = client.get("/check", params={"code": code, **more})
    assert answered.status_code == 200
    return answered.text


def title(page: str) -> str:
    found = re.search(r"<h1[^>]*>(.*?)</h1>", page)
    assert found is not None
    return html.unescape(found[1])


@pytest.mark.parametrize(
    ("kind", "chinese", "english"),
    [
        ("none", "未查询到产品销售信息", "No sale of this box is recorded"),
        ("one", "有1条销售记录，是您买的吗？", "One sale is recorded. Is it yours?"),
        ("gs1", "有1条销售记录，是您买的吗？", "One sale is recorded. Is it yours?"),
        ("split", "有1条销售记录，是您买的吗？", "One sale is recorded. Is it yours?"),
        ("several", "这盒药有多条销售记录", "This box has several sale records"),
        ("undone", "未查询到产品销售信息", "No sale of this box is recorded"),
        ("recalled", "涉及召回或停售，请停止使用", "Under recall or stop: do not use it"),
        ("expired", "已过有效期，请不要使用", "Past its expiry date: do not use it"),
        ("carton", "这是外箱码，不是药盒上的码", "This is the code of a carton, not of a box"),
        ("lot", "这是批次码，同批产品共用", "This code is shared by a whole lot"),
        ("retail", "这是商品条码，不是追溯码", "This is the retail barcode, not the trace code"),
        ("virtual", "这是虚拟码，没有流通记录", "A virtual code, without history"),
        ("unknown", "没有认出这个码", "This code is not recognised"),
    ],
)
def test_each_outcome_has_one_verdict_in_either_language(
    client: httpx.Client, shelf: Shelf, kind: str, chinese: str, english: str
) -> None:
    code = getattr(shelf, kind)
    assert title(told(client, code)) == chinese
    assert title(told(client, code, lang="en")) == english


def test_a_sale_is_shown_before_it_is_asked_about_and_each_answer_has_its_advice(
    client: httpx.Client, shelf: Shelf
) -> None:
    asked = told(client, shelf.one)
    assert asked.index("示例大药房（天河店）") < asked.index("这是您在该时间、该机构购买的吗？")
    assert title(told(client, shelf.one, answer="mine")) == "是您购买的：属正常销售"
    not_mine = told(client, shelf.one, answer="not_mine")
    assert title(not_mine) == "不是您购买的：请反映情况"
    assert f'href="/report?code={shelf.one}"' in not_mine
    assert f'href="/compensation?code={shelf.one}"' in not_mine
    assert "请向其核对购药小票" in told(client, shelf.one, answer="unsure")
    assert title(told(client, shelf.one, answer="anything")) == title(asked)


def test_undone_sales_are_shown_and_split_ones_are_one(client: httpx.Client, shelf: Shelf) -> None:
    assert "已退或已撤销，不计入" in told(client, shelf.undone)
    assert "不计入" not in told(client, shelf.one)
    split = told(client, shelf.split)
    assert split.count('<span class="tag">拆零</span>') == 3
    assert "合计算一次销售" in split


def test_a_sensitive_place_is_told_by_kind_and_city(client: httpx.Client, shelf: Shelf) -> None:
    for language, kind in (("zh", "医院（广东省广州市）"), ("en", "hospital（Guangdong 广州市）")):
        page = told(client, shelf.sensitive, lang=language)
        assert kind in page
        for hidden in (NAMES[HOSPITAL_B][0], "精神", HOSPITAL_B, "天河"):
            assert hidden not in page


def test_a_warning_comes_before_everything_else_and_a_carton_tells_its_number_alone(
    client: httpx.Client, shelf: Shelf
) -> None:
    recalled = told(client, shelf.recalled)
    assert "本批：含量不合格" in recalled
    assert "请停止使用，保留药盒" in recalled
    assert "请两天后再查" not in recalled
    carton = told(client, shelf.carton)
    assert "内装2个小包装" in carton
    assert not re.search(r"82345670\d{12}", carton)


def test_the_product_is_told_as_the_catalogue_and_the_maker_know_it(client: httpx.Client, shelf: Shelf) -> None:
    page = told(client, shelf.split)
    facts = dict(re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>", page))
    assert facts.pop("数据更新时间")
    assert facts == {
        "通用名": "阿莫西林",
        "商品名": "示例阿莫",
        "规格": "0.25g*24粒",
        "剂型": "胶囊",
        "生产企业": "示例制药有限公司",
        "批准文号": "国药准字H20990001",
        "医保类别": "甲",
        "适应症": "演示：见盒内说明书",
        "用法用量": "演示：遵医嘱",
        "批号": "L1",
        "有效期至": "2039-12-31",
    }
    assert "演示数据，并非真实产品" in page


def test_a_missing_sale_is_explained_and_the_official_entry_named(client: httpx.Client, shelf: Shelf) -> None:
    page = told(client, shelf.none)
    assert "为什么查不到" in page
    assert "拆零药品、中药饮片、配方颗粒暂不要求扫码" in page
    for each in (page, client.get("/").text):
        assert "医保药品耗材追溯信息查询" in each
        assert "12315" in each
        for do in ("要有码", "要扫码", "要小票", "要验码", "要索赔", "要毁码"):
            assert do in each


@pytest.mark.parametrize(
    ("typed", "help_given"),
    [
        ("8234567000000000001", "还差1位"),
        ("6901234567891", "校验数字对不上"),
        ("国药准字H20990001", "批准文号"),
        ("89999990000000000017", "不在产品库中"),
    ],
)
def test_a_mistyped_code_gets_help(client: httpx.Client, typed: str, help_given: str) -> None:
    assert help_given in told(client, typed)


def test_a_code_with_look_alike_letters_leads_to_the_one_that_was_meant(client: httpx.Client, shelf: Shelf) -> None:
    wrong = f"{shelf.one[:-2]}O{shelf.one[-1]}"
    page = told(client, wrong)
    assert "您要查的是不是" in page
    assert f'href="/check?code={shelf.one}"' in page
    assert title(told(client, " ".join(shelf.one[place : place + 4] for place in range(0, 20, 4)))).startswith("有1条")


def test_a_digital_link_address_is_answered_like_its_code(client: httpx.Client, shelf: Shelf) -> None:
    serial = shelf.gs1.partition("(21)")[2]
    linked = client.get(f"/01/{GTIN}/21/{serial}", params={"17": "391231"})
    assert title(linked.text) == title(told(client, shelf.gs1))
    assert f"/check?code={quote(f'(01){GTIN}(17)391231(21){serial}')}&amp;answer=mine" in linked.text
    assert title(client.get(f"/01/{GTIN}").text) == "这是商品条码，不是追溯码"


def test_without_scripts_the_server_reads_the_photo(client: httpx.Client, shelf: Shelf) -> None:
    def sent(picture: bytes) -> httpx.Response:
        return client.post("/check/photo", files={"photo": ("box.png", picture, "image/png")})

    for picture in (draw(shelf.one), draw(shelf.one, "code128"), draw(shelf.one, "qr")):
        led = sent(picture)
        assert led.status_code == 303
        assert title(client.get(led.headers["location"]).text).startswith("有1条")
    led = sent(draw(shelf.gs1, "gs1_datamatrix"))
    assert title(client.get(led.headers["location"]).text).startswith("有1条")
    with_retail = sent(draw_sheet([shelf.one, shelf.retail], "code128", columns=1))
    assert with_retail.headers["location"].endswith(shelf.one)
    several = sent(draw_sheet([shelf.one, shelf.several]))
    assert "哪一个是您药盒上的" in several.text
    assert f"/check?code={shelf.several}" in several.text
    blank = sent(draw("x")[:60])
    assert (blank.status_code, "JPEG" in blank.text) == (422, True)
    assert client.post("/check/photo", files={"other": b""}).status_code == 422


def test_text_of_a_code_is_never_markup(client: httpx.Client) -> None:
    attack = '"><script>alert(1)</script><img src=x onerror=alert(1)>'
    page = told(client, attack)
    assert "<script>alert" not in page
    assert "<img src=x" not in page
    assert "&lt;script&gt;" in page
    policy = client.get("/").headers["content-security-policy"]
    assert "unsafe-inline" not in policy
    assert "script-src 'self' 'wasm-unsafe-eval'" in policy


def test_no_page_accuses(client: httpx.Client, shelf: Shelf) -> None:
    for code in (shelf.none, shelf.one, shelf.several, shelf.recalled):
        for said, language in (("", "zh"), ("not_mine", "zh"), ("not_mine", "en")):
            page = told(client, code, answer=said, lang=language).lower()
            assert not any(word in page for word in ("假药", "fake", "fraud", "criminal", "骗", "counterfeit"))
