"""Many codes at once: plain trace codes in columns or in a tight loop, everything else one by one."""

from collections.abc import Sequence

import polars as pl

from suyuan.codes import trace20
from suyuan.codes.code import Code
from suyuan.codes.makers import MakerRule
from suyuan.codes.recognise import recognise


def recognise_many(texts: Sequence[str], rules: Sequence[MakerRule] = ()) -> list[Code]:
    """The same as `recognise` in a scan field for each text, in order."""
    is_clean, of = trace20.is_clean, trace20.of
    return [of(text) if is_clean(text) else recognise(text, "scan", rules) for text in texts]


def box_keys(texts: Sequence[str] | pl.Series, rules: Sequence[MakerRule] = ()) -> pl.DataFrame:
    """Keys in columns: a row for each text, in order, with `key`, `product_key`, `system` and `clean`.

    `clean` is true where nothing is to be said about the code and it is not under review; the other rows are worth
    a call of `recognise`, which has the words. A missing text counts as an empty one.
    """
    text = _series(texts)
    plain = text.str.contains(r"^8[0-9]{19}$") & ~text.str.tail(5).is_in(sorted(trace20.FIVE_EQUAL))
    columns = {
        "key": "trace20:" + text,
        "product_key": "trace20:" + text.str.head(trace20.PREFIX),
        "system": pl.repeat("trace20", len(text), dtype=pl.String, eager=True),
        "clean": plain,
    }
    rest = (~plain).arg_true()
    if len(rest):
        codes = [recognise(one, "scan", rules) for one in text.gather(rest)]
        columns["key"].scatter(rest, [code.key for code in codes])
        columns["product_key"].scatter(rest, [code.product_key for code in codes])
        columns["system"].scatter(rest, [code.system for code in codes])
        columns["clean"].scatter(rest, [not (code.problems or code.review) for code in codes])
    return pl.DataFrame(columns)


def _series(texts: Sequence[str] | pl.Series) -> pl.Series:
    if isinstance(texts, pl.Series):
        return texts.cast(pl.String).fill_null("")
    try:
        return pl.Series(texts, dtype=pl.String).fill_null("")
    except UnicodeEncodeError:  # a lone surrogate; normalising writes it as a question mark too
        return pl.Series([text.encode("utf-8", "replace").decode() for text in texts], dtype=pl.String)
