"""SM2, SM3 and x-tif signatures: published examples, a second library, and round trips."""

import base64

import gmssl_pyx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from suyuan.portals.signatures import (
    KeyWrong,
    der_signature,
    hmac_sm3,
    new_sm2_key,
    public_sm2_key,
    raw_signature,
    same,
    sign_sm2,
    sm3,
    verify_sm2,
    x_tif_signature,
)

# GB/T 32918.5, annex A.2: the example of a signature on the curve in use.
PRIVATE = "3945208F7B2144B13F36E38AC6D39F95889393692860B51A42FB81EF4DF7C5B8"
PUBLIC = (
    "0409F9DF311E5421A150DD7D161E4BC5C672179FAD1833FC076BB08FF356F35020"
    "CCEA490CE26775A52DC6EA718CC1AA600AED05FBF35E084A6632F6072DA9AD13"
)
MESSAGE = b"message digest"
SIGNATURE = (
    "F5A03B0648D2C4630EEAC513E1BB81A15944DA3827D5B74143AC7EACEEE720B3"
    "B1B6AA29DF212FD8763182BC0D421CA1BB9038FD1F7F42D4840B69C485BBC1AA"
)


def test_sm3_gives_the_digests_of_the_standards_two_examples() -> None:
    assert sm3(b"abc") == "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0"
    assert sm3(b"abcd" * 16) == "debe9ff92275b8a138604889c18e5a4d6fdb70e5387e5765293dcba39c0c5732"


def test_the_standards_sm2_signature_verifies_and_one_other_letter_does_not() -> None:
    assert verify_sm2(PUBLIC, MESSAGE, SIGNATURE)
    assert not verify_sm2(PUBLIC, b"message digesT", SIGNATURE)
    assert not verify_sm2(PUBLIC, MESSAGE, SIGNATURE[:-1] + "B")
    assert not verify_sm2(PUBLIC, MESSAGE, SIGNATURE, b"another signer")


@pytest.mark.parametrize(
    "form",
    [
        SIGNATURE.lower(),
        f" {SIGNATURE}\n",
        bytes.fromhex(SIGNATURE),
        der_signature(bytes.fromhex(SIGNATURE)),
        der_signature(bytes.fromhex(SIGNATURE)).hex(),
        base64.b64encode(bytes.fromhex(SIGNATURE)).decode(),
        base64.b64encode(der_signature(bytes.fromhex(SIGNATURE))).decode(),
    ],
)
def test_a_signature_is_read_in_every_form_in_use(form: str | bytes) -> None:
    assert verify_sm2(PUBLIC, MESSAGE, form)


@pytest.mark.parametrize("form", ["", "0", "zz", "04" * 129, "00" * 64, "ff" * 64, b"", b"\0" * 64, "数字签名"])
def test_what_is_no_signature_verifies_nothing(form: str | bytes) -> None:
    assert not verify_sm2(PUBLIC, MESSAGE, form)


def test_a_public_key_is_taken_with_or_without_its_mark_and_compressed() -> None:
    compressed = ("03" if int(PUBLIC[-1], 16) % 2 else "02") + PUBLIC[2:66]
    for form in (PUBLIC, PUBLIC.lower(), PUBLIC[2:], compressed):
        assert public_sm2_key(form) == PUBLIC
    for wrong in ("", "04", PUBLIC[:-2], PUBLIC[:-2] + "14", "x" * 130):
        with pytest.raises(KeyWrong):
            public_sm2_key(wrong)


@pytest.mark.parametrize("wrong", ["", "0" * 64, "F" * 64, PRIVATE[:-1], "私" * 64])
def test_a_private_key_out_of_range_is_refused_in_words(wrong: str) -> None:
    with pytest.raises(KeyWrong, match="64 hexadecimal digits"):
        sign_sm2(wrong, MESSAGE)


def test_the_private_key_of_the_standard_signs_for_its_public_key() -> None:
    signature = sign_sm2(PRIVATE.lower(), MESSAGE)
    assert signature == signature.upper()
    assert verify_sm2(PUBLIC, MESSAGE, signature)
    assert not verify_sm2(new_sm2_key()[1], MESSAGE, signature)


@settings(max_examples=30, deadline=None)
@given(message=st.binary(max_size=300), signer=st.binary(min_size=1, max_size=40))
def test_what_is_signed_verifies_here_and_by_the_library_itself(message: bytes, signer: bytes) -> None:
    private, public = new_sm2_key()
    signature = sign_sm2(private, message, signer)
    assert verify_sm2(public, message, signature, signer)
    der = der_signature(bytes.fromhex(signature))
    assert gmssl_pyx.sm2_verify(bytes.fromhex(public[2:]), message, der, signer)
    assert raw_signature(der).hex().upper() == signature


@given(key=st.binary(max_size=100), message=st.binary(max_size=300))
def test_digests_agree_with_a_second_library(key: bytes, message: bytes) -> None:
    assert sm3(message) == gmssl_pyx.sm3_hash(message).hex()
    if key:
        assert hmac_sm3(key, message) == gmssl_pyx.sm3_hmac(key, message)


def test_an_x_tif_signature_is_sha256_of_time_token_nonce_and_time() -> None:
    # printf '1767406272secretabc1767406272' | sha256sum
    assert x_tif_signature("1767406272", "secret", "abc") == (
        "06deec417e8b7649ede971992db1111aadeeeb1b3f11200253b18cef37c9cb67"
    )
    assert same("ABCDEF", "abcdef ")
    assert not same("abcdef", "abcde")
