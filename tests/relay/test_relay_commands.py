"""Registering a province and asking how the relay stands, of a node at rest and of one that is being served."""

import json
import shutil
import time
from pathlib import Path

import httpx
import pytest
from started import ran as suyuan
from story import HOSPITAL_A, catalogue

from suyuan.node import Node
from suyuan.relay.nation import provinces_of
from suyuan.simulation.federation import Federation, Member, free_ports, send
from suyuan.simulation.union import differences


def test_a_province_gets_secrets_that_name_persons_as_the_nation_does(tmp_path: Path) -> None:
    folder, made = tmp_path / "nation", tmp_path / "44"
    with Node.open(folder) as node:
        name, public = node.privacy.pseudonym("id:01:1"), node.signer.public.hex()
    done = suyuan("relay", "register", "44", "--secrets", str(made), "--dir", str(folder))
    assert done.returncode == 0, done.stderr
    assert f'nation_key = "{public}"' in done.stdout
    with Node.open(made) as province:
        assert province.privacy.pseudonym("id:01:1") == name
        mine = province.signer.public
    with Node.open(folder) as node:
        assert provinces_of(node)["44"].keys == (mine,)
    again = suyuan("relay", "register", "44", "--secrets", str(made), "--dir", str(folder))
    assert again.returncode == 3
    assert "is not empty" in again.stderr
    wrong = suyuan("relay", "register", "44", "--key", "xyz", "--dir", str(folder))
    assert (wrong.returncode, "64 hexadecimal digits" in wrong.stderr) == (3, True)


def test_a_node_recovers_only_from_a_nation_that_it_belongs_to_and_that_answers(tmp_path: Path) -> None:
    with Node.open(tmp_path / "44"):
        pass
    alone = suyuan("relay", "recover", "--dir", str(tmp_path / "44"))
    assert (alone.returncode, "belongs to no nation" in alone.stderr) == (3, True)
    [port] = free_ports(1)
    joined = f'province = "44"\nnation = "http://127.0.0.1:{port}"\nnation_key = "{"ab" * 32}"\n'
    (tmp_path / "44" / "suyuan.toml").write_text(joined, encoding="utf-8")
    away = suyuan("relay", "recover", "--dir", str(tmp_path / "44"))
    assert (away.returncode, "no answer from" in away.stderr) == (3, True)


@pytest.mark.slow
def test_a_province_whose_nation_is_away_begins_alone_and_says_so(tmp_path: Path) -> None:
    with Node.open(tmp_path / "44"):
        pass
    away, port = free_ports(2)
    joined = f'province = "44"\nnation = "http://127.0.0.1:{away}"\nnation_key = "{"ab" * 32}"\n'
    (tmp_path / "44" / "suyuan.toml").write_text(joined, encoding="utf-8")
    member = Member("44", tmp_path / "44", port)
    member.start()
    member.stop()
    assert member.logged().count("this province begins alone") == 1


def sale(number: int) -> bytes:
    row = {
        "med_list_codg": "",
        "fixmedins_hilist_id": "1",
        "fixmedins_bchno": f"B{number}",
        "psn_no": f"person {number}",
        "sel_retn_cnt": "1",
        "sel_retn_time": "2026-03-09 10:00:00",
        "drugtracinfo": [{"drug_trac_codg": f"8234567{number:013d}"}],
    }
    head = {"infno": "3505", "msgid": f"{HOSPITAL_A}{number:018d}", "insuplc_admdvs": "440100", "infver": "V1.0"}
    return json.dumps({**head, "fixmedins_code": HOSPITAL_A, "input": {"selinfo": row}}).encode()


@pytest.mark.slow
def test_a_province_that_was_copied_or_restored_is_not_served_before_it_is_recovered_by_one_command(
    tmp_path: Path,
) -> None:
    with Federation(tmp_path, ["44"], catalogue()) as federation, httpx.Client(timeout=20) as client:
        member = federation.provinces["44"]
        assert send(client, member, sale(1), HOSPITAL_A, "nhsa").json()["infcode"] in (0, "0")
        assert federation.settle_down(60)
        member.stop()
        shutil.copytree(member.folder, tmp_path / "older")
        member.start()
        beside = suyuan("serve", "--port", "0", "--dir", str(tmp_path / "older"))
        assert (beside.returncode, "another node has spoken" in beside.stderr) == (3, True), beside.stderr
        for number in range(2, 6):
            assert send(client, member, sale(number), HOSPITAL_A, "nhsa").json()["infcode"] in (0, "0")
        assert federation.settle_down(60)
        member.stop()
        lost = len(member.events())
        shutil.rmtree(member.folder)
        (tmp_path / "older").rename(member.folder)
        refused = suyuan("serve", "--port", "0", "--dir", str(member.folder))
        assert (refused.returncode, "suyuan relay recover" in refused.stderr) == (3, True), refused.stderr
        member.start("--unrecovered")
        while not (standing := member.standing() or {}).get("failure"):
            time.sleep(0.1)
        assert "suyuan relay recover" in standing["failure"]
        served = suyuan("relay", "recover", "--dir", str(member.folder))
        assert served.returncode == 3, "the server has the folder"
        member.stop()
        done = suyuan("relay", "recover", "--dir", str(member.folder))
        assert (done.returncode, "facts were fetched" in done.stdout) == (0, True), done.stderr
        assert len(member.events()) >= lost
        member.start()
        assert send(client, member, sale(6), HOSPITAL_A, "nhsa").json()["infcode"] in (0, "0")
        assert federation.settle_down(60)
    assert differences({"44": member.events()}, federation.nation.events()) == []


def claim(number: int, order: str) -> bytes:
    who = {"psn_no": f"person {order}", "chrg_bchno": order, "mdtrt_id": f"V{order}", "insutype": "310"}
    row = {"feedetl_sn": "1", "drug_trac_codg": f"8234567{number:013d}", "trdn_flag": "0", "min_prcunt_type": "2"}
    head = {"infno": "2207", "msgid": f"{HOSPITAL_A}{order:0>18}", "insuplc_admdvs": "440100", "infver": "V1.0"}
    body = {"data": {**who, "medfee_sumamt": 100}, "drug_trac_info": [row]}
    return json.dumps({**head, "fixmedins_code": HOSPITAL_A, "input": body}).encode()


@pytest.mark.slow
def test_a_province_restored_while_its_nation_is_away_pays_nothing_twice_and_keeps_what_comes(tmp_path: Path) -> None:
    with Federation(tmp_path, ["44"], catalogue()) as federation, httpx.Client(timeout=20) as client:
        member, nation = federation.provinces["44"], federation.nation

        def sent(raw: bytes) -> httpx.Response:
            return send(client, member, raw, HOSPITAL_A, "nhsa")

        assert sent(claim(1, "1")).json()["infcode"] in (0, "0")
        assert federation.settle_down(60)
        member.stop()
        shutil.copytree(member.folder, tmp_path / "older")
        member.start()
        assert sent(claim(2, "2")).json()["infcode"] in (0, "0")
        assert federation.settle_down(60)
        member.stop()
        nation.kill()
        shutil.rmtree(member.folder)
        (tmp_path / "older").rename(member.folder)
        # It begins alone: nothing is decided, and what can wait is kept.
        member.start()
        what_to_do = f"suyuan relay recover --dir {member.folder}"
        assert what_to_do in member.logged()
        refused, kept = sent(claim(2, "22")), sent(sale(3))
        assert (refused.status_code, kept.status_code) == (503, 200)
        assert kept.headers["x-suyuan-store"] == "deferring; waiting=1"
        assert "暂存" in kept.text
        ready = client.get(f"{member.address}/readyz")
        assert (ready.status_code, what_to_do in ready.json()["notes"]["store"]) == (200, True)
        assert "notice warn" in client.get(f"{member.address}/").text
        status = suyuan("relay", "status", "--format", "json", "--dir", str(member.folder))
        assert (status.returncode, what_to_do in json.loads(status.stdout)["unrecovered"]) == (1, True)
        # Killed and begun again it is no wiser, and when the nation is back it says what a person has to do.
        member.kill()
        member.start()
        assert sent(claim(2, "23")).status_code == httpx.codes.SERVICE_UNAVAILABLE
        nation.start()
        while what_to_do not in client.get(f"{member.address}/readyz").json()["notes"].get("relay", ""):
            time.sleep(0.1)
        assert sent(claim(4, "4")).status_code == httpx.codes.SERVICE_UNAVAILABLE
        member.stop()
        done = suyuan("relay", "recover", "--dir", str(member.folder))
        assert (done.returncode, "facts were fetched" in done.stdout) == (0, True), done.stderr
        member.start()
        assert "x-suyuan-store" not in client.get(f"{member.address}/livez").headers
        again, first = sent(claim(2, "24")).json(), sent(claim(4, "4")).json()
        assert (again["infcode"] in (0, "0"), first["infcode"] in (0, "0")) == (False, True), again
        assert federation.settle_down(60)
    events = member.events()
    assert [one["kind"] for one in events if one["key"] == f"trace20:8234567{3:013d}"] == ["sold"]
    assert sum(one["kind"] == "claimed" and one["drawn"] for one in events if one["key"].endswith(f"{2:013d}")) == 1
    assert differences({"44": events}, federation.nation.events()) == []


@pytest.mark.slow
def test_a_nation_that_is_being_served_registers_too_and_hears_nobody_else(tmp_path: Path) -> None:
    with Federation(tmp_path, [], catalogue()) as federation:
        nation, key = federation.nation, "ab" * 32
        done = suyuan("relay", "register", "44", "--key", key, "--name", "Guangdong", "--dir", str(nation.folder))
        assert done.returncode == 0, done.stderr
        status = suyuan("relay", "status", "--format", "json", "--dir", str(nation.folder))
        [listed] = json.loads(status.stdout)["provinces"]
        assert (listed["province"], listed["name"], listed["slices"]) == ("44", "Guangdong", 0)
        headers = {"content-type": "application/x-suyuan-relay"}
        address = f"{nation.address}/relay/v1"
        assert httpx.post(address, content=b"nothing", headers=headers).status_code == 422
        assert httpx.post(address, content=b"").status_code == httpx.codes.UNSUPPORTED_MEDIA_TYPE
        assert "suyuan_relay_failing" in httpx.get(f"{nation.address}/metrics").text
