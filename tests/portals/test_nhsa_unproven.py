"""Callers of the NHSA address who prove nothing cost little: their tries are counted, and what is read of them."""

from pathlib import Path

import httpx
from nhsa_till import PATH, Till, fine, message, new_code, sale, till

PIECE = 64 << 10


def _large(his: Till, path: str = "") -> httpx.Response:
    """A message of a little more than one piece of 64 KiB."""
    return his.post(message("3505", {"selinfo": sale(new_code(), memo="x" * PIECE)}), path)


def test_wrong_proofs_are_tries_and_the_one_too_many_says_so_beside_what_is_wrong(tmp_path: Path) -> None:
    with till(tmp_path / "node", 'policy = "strict"\nblock_cache_mb = 16\nrate_sign_in = "2/minute"\n') as his:
        sent = message("3505", {"selinfo": sale(new_code())})
        answers = [his.post(sent, PATH) for _ in range(3)]
        assert [answer.status_code for answer in answers] == [200, 200, 429]
        assert all("身份验证未通过" in answer.json()["err_msg"] for answer in answers)
        assert "频繁" in answers[2].json()["err_msg"]
        assert 1 <= int(answers[2].headers["retry-after"]) <= 60
        assert fine(his.post(sent).json()), "who proves himself from the same address is not turned away"


def test_what_is_read_before_a_proof_has_a_bound_that_proofs_give_back(tmp_path: Path) -> None:
    settings = 'policy = "strict"\nblock_cache_mb = 16\nrate_sign_in = "1000/minute"\nrate_unproven = "4/minute"\n'
    with till(tmp_path / "node", settings) as his:
        assert [_large(his, PATH).status_code for _ in range(3)] == [200, 200, 429]
        assert his.post(b"[" * PIECE, PATH).status_code == 429, "it is not even read"
        assert fine(_large(his).json()), "the token in the address proves who it is before anything is read"
    with till(tmp_path / "other", settings) as his:
        number = his.send("9001", {"signIn": {"opter_no": "1"}})["output"]["signinoutb"]["sign_no"]
        for _ in range(6):
            signed = message("3505", {"selinfo": sale(new_code(), memo="x" * PIECE)}, sign_no=number)
            assert fine(his.post(signed, PATH).json()), "a sign-in number is read in the message, and gives back"
        assert his.post(b"no JSON", PATH).status_code == 200
        for _ in range(4):
            his.post(b"no JSON", PATH)
        assert his.post(b"no JSON", PATH).status_code == 429


def test_a_version_of_software_has_a_limit_of_its_own_whoever_uses_it(tmp_path: Path) -> None:
    settings = 'policy = "strict"\nblock_cache_mb = 16\nsoftware_rates = "坏软件/* = 2/minute"\n'
    with till(tmp_path / "node", settings) as his:
        for number, answered in ((1, 200), (2, 200), (3, 429)):
            institution = "H44010000001" if number % 2 else "P44010000001"
            sent = message("3505", {"selinfo": sale(new_code())}, institution, fixmedins_soft_fcty="坏软件/收费/1.0")
            assert his.post(sent).status_code == answered, number
        sent = message("3505", {"selinfo": sale(new_code())}, fixmedins_soft_fcty="好软件/收费/1.0")
        assert fine(his.post(sent).json())
