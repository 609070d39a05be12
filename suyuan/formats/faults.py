"""Every fault that reading can find: its words, what to do about it, and how grave it is."""

import msgspec

from suyuan.ledger.scan import Problem

MALFORMED = "malformed"
"""The line or the document cannot be taken as it stands."""
NOT_TAKEN = "not_taken"
"""Understood and well formed, but Suyuan has no place for it yet."""
NOTE = "note"
"""Nothing is lost; the sender may want to know."""


class Fault(msgspec.Struct, frozen=True):
    """One kind of fault. Texts carry no value: that stands beside them in the `Problem`."""

    name: str
    what: str
    what_zh: str
    do: str
    do_zh: str
    code: str = MALFORMED


FAULTS: tuple[Fault, ...] = (
    # A file or message as a whole.
    Fault("empty", "There is nothing in it", "内容为空", "Send the file again; it may have been cut off.",
          "请重新上传"),
    Fault("unreadable", "The file cannot be read", "文件无法读取", "Check the path and the permissions.",
          "请检查文件"),
    Fault("crashed", "Our own program failed on it; it is kept apart, and the operator is told",
          "程序处理时出错，已封存待查", "Go on with the others.", "请继续上传其他内容"),
    Fault("not_kept", "Our own program failed on it, and there is no room to keep it apart",
          "程序处理时出错，且封存空间已满", "Keep it, and tell the operator.", "请保留原文并告知运维"),
    Fault("failed", "Our own program failed on it, and nothing of it was kept", "程序处理时出错，未受理也未封存",
          "Keep it, and tell the operator.", "请保留原文并告知运维"),
    Fault("not_text", "The bytes are neither UTF-8 nor GBK text", "编码不是UTF-8或GBK",
          "Save it as UTF-8 text.", "请以UTF-8编码保存"),
    Fault("not_json", "It is not JSON", "不是有效的JSON", "Check the place named.", "请检查JSON格式"),
    Fault("too_deep", "The JSON is nested too deeply", "JSON嵌套过深", "Send the regular form.", "请按规范格式上传"),
    Fault("too_large", "It is larger than the limit", "超过大小限制", "Send it in parts.", "请拆分后上传"),
    Fault("other_file", "It is another kind of file", "文件类型不支持",
          "Save it as CSV (UTF-8) or send JSON.", "请另存为CSV(UTF-8)或JSON"),
    Fault("bomb", "The compressed file unpacks beyond the limit", "压缩文件解压后超过限制",
          "Send it unpacked or in parts.", "请解压或拆分后上传"),
    Fault("bad_archive", "The compressed file is damaged or holds no single table", "压缩文件损坏或不是单个表格",
          "Put one table into a .zip or .gz file.", "请只压缩一个表格文件"),
    Fault("not_object", "An object {…} was expected", "应为JSON对象", "Send one message as one object.",
          "请按规范格式上传"),
    # NHSA messages.
    Fault("no_infno", "No transaction number (infno)", "缺少交易编号infno", "Name the transaction.", "请填写infno"),
    Fault("infno_not_taken", "This transaction is not taken here", "暂不支持该交易",
          "See docs/messages.md for those that are.", "请核对交易编号"),
    Fault("no_input", "`input` is missing or is no object", "缺少input节点", "Send the data inside `input`.",
          "请填写input"),
    Fault("encrypted", "`input` is encrypted and no key or mode is agreed", "input已加密，未约定密钥与模式",
          "Send `input` in the clear over TLS, with enc_type empty.", "请通过TLS以明文发送，enc_type留空"),
    Fault("no_scans", "This institution settles by code only, and no code was sent", "本机构无码不结，未上传追溯码",
          "Send drug_trac_info, or say with minpacunt_drug_trac_cnt 0 that there is nothing to scan.",
          "请上传drug_trac_info；确无追溯码的，minpacunt_drug_trac_cnt填0"),
    Fault("no_rows", "No row was found", "未找到业务数据节点", "Send the rows under the node named.",
          "请按规范填写节点"),
    Fault("not_a_row", "The row is no object", "该行不是对象", "Send each row as an object.", "请按规范填写该行"),
    Fault("missing", "A required field is empty", "必填字段为空", "Fill the field.", "请填写该字段"),
    Fault("unassigned", "The code stands beside several rows and belongs to none", "追溯码未归属到明细行",
          "Put drugtracinfo inside its row.", "请将drugtracinfo放入对应明细行"),
    Fault("refund_line", "A fee line with a negative count is not taken yet", "暂不支持负数量费用明细",
          "Cancel the settlement and send the corrected lines.", "请撤销结算后重新上传", NOT_TAKEN),
    # Our own JSON.
    Fault("wrong_field", "A field is missing, unknown, too long or of the wrong type", "字段缺失、多余、过长或类型错误",
          "See the reference page of the interface.", "请核对接口文档"),
    # Single values.
    Fault("bad_time", "The time cannot be read", "时间格式错误", "Write yyyy-MM-dd HH:mm:ss.",
          "格式应为yyyy-MM-dd HH:mm:ss"),
    Fault("bad_date", "The date cannot be read and was left out", "日期格式错误，已忽略",
          "Write yyyy-MM-dd.", "格式应为yyyy-MM-dd", NOTE),
    Fault("bad_number", "The number cannot be read, or is negative or too large", "数值格式错误",
          "Write it as 13.80, without unit or separator.", "请填写非负数值"),
    Fault("bad_flag", "The flag is neither 0 nor 1", "标志应为0或1", "Write 0 or 1.", "请填写0或1"),
    Fault("bad_text", "Text was expected", "应为文本", "Write it as text.", "请填写文本"),
    Fault("scientific_code", "The code was turned into a number in scientific notation and its digits are lost",
          "追溯码被转换为科学计数法，数字已丢失",
          "Format the column as text before typing or pasting codes, then export again.",
          "请将该列设为文本格式后重新导出"),
    Fault("code_too_long", "The code is too long to be one", "追溯码过长", "Scan it again.", "请重新扫码"),
    Fault("control_character", "The text holds a NUL character", "含有非法字符", "Scan or type it again.",
          "请重新录入"),
    Fault("nothing_named", "The line names neither a code nor a product", "该行既无追溯码也无药品",
          "Fill in code, product or item.", "请填写追溯码或药品编码"),
    # Tables.
    Fault("no_header", "The first line does not name the columns", "首行不是列名",
          "Begin the table with column names, see docs/tables.md.", "首行请填写列名"),
    Fault("duplicate_header", "Two columns have the same meaning", "列名重复", "Keep one of them.", "请保留其中一列"),
    Fault("unknown_column", "A column is not known and was left out", "未知列，已忽略",
          "See docs/tables.md for the names.", "请核对列名", NOTE),
    Fault("no_kind", "Nothing says what happened", "缺少事件类型",
          "Add a column `kind` or name the kind for the whole file.", "请增加kind列"),
    Fault("unknown_kind", "The kind of event is not known", "未知事件类型", "See docs/tables.md for the kinds.",
          "请核对事件类型"),
    Fault("claim_in_table", "A claim is not taken as a table line", "结算请求不能以表格上传",
          "Send it as message 2102, 2207 or 2304.", "请使用2102、2207或2304交易", NOT_TAKEN),
    Fault("wrong_width", "The line has not as many fields as the header", "列数与首行不一致",
          "Check separators and quotes in this line.", "请检查分隔符和引号"),
    Fault("open_quote", "A quoted field does not end in this line", "引号未闭合",
          "Close the quote; a field may not hold a line break.", "请闭合引号"),
    Fault("line_too_long", "The line is longer than the limit and was not kept", "该行过长",
          "Check for a missing line break.", "请检查换行"),
    Fault("no_parent", "Packing needs the carton", "缺少上级包装码", "Fill in `parent`.", "请填写parent"),
    Fault("no_line", "A fee line needs its number", "缺少费用明细号", "Fill in `line`.", "请填写line"),
    Fault("no_scope", "A hold needs its scope", "缺少范围", "Write code, batch or product into `scope`.",
          "请填写scope"),
    Fault("no_reference", "The record to undo is not named", "未注明要撤销的记录",
          "Fill in the reference named.", "请填写原记录编号"),
)  # fmt: skip
"""In no order of precedence: a line may have several."""

FAULT = {entry.name: entry for entry in FAULTS}
_BY_WORDS = {entry.what: entry for entry in FAULTS}
_VALUE_CHARACTERS_MAX = 80


class UnreadableError(Exception):
    """Nothing can be read; the message is the reason in words, fit for `Document.fatal`."""


def fault(name: str, where: str, value: object = "") -> Problem:
    """A problem for the reader of the document; the value is cut to what a reader can take in."""
    entry = FAULT[name]
    return Problem(where=where, what=entry.what, value=shortened(str(value)), do=entry.do, code=entry.code)


def refusal(name: str, detail: str = "") -> str:
    """Words for a document of which nothing can be read."""
    entry = FAULT[name]
    return f"{entry.what}: {shortened(detail)}. {entry.do}" if detail else f"{entry.what}. {entry.do}"


def problem_in_chinese(problem: Problem) -> str:
    """A problem in the words of an NHSA answer."""
    entry = _BY_WORDS.get(problem.what)
    what, do = (problem.what, problem.do) if entry is None else (entry.what_zh, entry.do_zh)
    value = f"[{problem.value}]" if problem.value else ""
    return f"{problem.where}：{what}{value}，{do}" if do else f"{problem.where}：{what}{value}"


def refusal_in_chinese(words: str) -> str:
    """Words made by `refusal`, in Chinese; other words as they are."""
    for entry in FAULTS:
        if words.startswith(entry.what):
            detail = words.removeprefix(entry.what).removesuffix(entry.do).strip(" :.")
            return f"{entry.what_zh}（{detail}），{entry.do_zh}" if detail else f"{entry.what_zh}，{entry.do_zh}"
    return words


def shortened(text: str) -> str:
    """Text cut to what a reader can take in, without line breaks or control characters."""
    if len(text) > _VALUE_CHARACTERS_MAX:
        text = text[: _VALUE_CHARACTERS_MAX - 1] + "…"
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)
