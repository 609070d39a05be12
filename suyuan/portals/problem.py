"""Refusals of HTTP: each with a stable code, what, where, the value and what to do (RFC 9457 problem+json)."""

from typing import Any

import msgspec

PROBLEM_JSON = "application/problem+json"
VALUE_MAX = 200
"""Characters of a refused value that are shown back."""


class Error(msgspec.Struct, frozen=True):
    """One kind of refusal."""

    code: str
    status: int
    title: str
    title_zh: str
    do: str
    do_zh: str


ERRORS: tuple[Error, ...] = (
    # What was sent cannot be read.
    Error("malformed_json", 400, "The body is not JSON in UTF-8.", "请求体不是UTF-8编码的JSON",
          "Send one JSON value in UTF-8.", "请以UTF-8编码发送一个JSON值"),
    Error("not_json", 415, "The content type is not the one taken here.", "请求体类型不符",
          "Send the content type that the reference page names, such as application/json.",
          "请按接口文档设置Content-Type"),
    Error("field_unusable", 422, "A field is missing, unknown, or has a value that cannot be used.",
          "字段缺失、多余或取值无效",
          "Mend the field named and send again.", "按提示修改字段后重新发送"),
    Error("body_too_large", 413, "The body is larger than is taken at once.", "请求体过大",
          "Send it in parts, or as a file to /api/v1/files.", "请分批发送，或改用/api/v1/files上传文件"),
    # Who is asking.
    Error("not_signed_in", 401, "Nobody has signed this request.", "未提供凭证",
          "Sign in, or send a key in the Authorization header.", "请登录，或在Authorization头中提供凭证"),
    Error("signature_wrong", 401, "The key, signature or session is not valid.", "凭证、签名或会话无效",
          "Check key id, secret, clock and what is signed; ask the administrator whether the key was revoked.",
          "请核对密钥、签名内容与时钟；必要时请管理员确认密钥是否已停用"),
    Error("not_allowed", 403, "The caller may not do this.", "无权执行此操作",
          "Use the credentials of the party concerned, or ask it for a delegation.",
          "请使用相应机构的凭证，或取得其委托"),
    Error("forged_form", 403, "The form was not sent from a page of this site.", "表单来源不可信",
          "Open the page again and send the form from there.", "请重新打开页面后提交"),
    Error("password_change_needed", 403, "The one-time password must be changed first.", "请先修改一次性密码",
          "Open /account/password and choose a password of your own.", "请打开/account/password设置本人密码"),
    Error("reason_needed", 403, "Personal data is opened only with a reason.", "查看个人信息须说明理由",
          "State the reason; it is kept in the audit record.", "请填写理由，理由将记入审计记录"),
    # What is asked for.
    Error("not_found", 404, "There is nothing here under this address or name.", "未找到",
          "Check the address or the id.", "请核对地址或编号"),
    Error("method_not_allowed", 405, "This address takes another method.", "请求方法不支持",
          "Use a method named in the Allow header.", "请使用Allow头所列方法"),
    Error("not_now", 409, "This cannot be done as things stand.", "当前状态不能执行此操作",
          "Look at its present state, then decide again.", "请查看当前状态后再操作"),
    Error("outcome_unknown", 404, "No upload under this id or number was taken.", "未受理过该编号的上传",
          "It was not taken: send it again. To send again is always safe.", "本次未受理，请重新发送；重发不会重复记账"),
    Error("decided_already", 409, "It was decided otherwise before.", "此前已作出其他决定",
          "Read the decision; a new request may be made.", "请查看原决定，可另行申请"),
    # How much and how often.
    Error("too_often", 429, "More requests than the limit allows.", "请求过于频繁",
          "Wait as long as Retry-After says.", "请按Retry-After等待后重试"),
    Error("busy", 503, "Too many uploads wait already.", "系统繁忙",
          "Send the same request again after Retry-After; nothing of it was taken.",
          "请稍后重发同一请求，本次未受理"),
    Error("stopping", 503, "The server is being stopped.", "服务正在停止",
          "Send the same request again in a minute; nothing of it was taken.",
          "请稍后重发同一请求，本次未受理"),
    Error("unavailable", 503, "The record cannot be reached now.", "数据存储暂不可用",
          "Send the same request again after Retry-After; what was kept meanwhile is recognised.",
          "请稍后以原内容重发；已受理的不会重复记账"),
    Error("deferred", 202, "The upload was taken and is kept; it is recorded when the store is back.",
          "已暂存，待系统恢复后记账",
          "Nothing need be sent again. Ask /api/v1/outcomes later; sent again, it finds itself.",
          "无需重发；可稍后查询结果，重发不会重复记账"),
    Error("no_room", 507, "The record cannot be written now, and there is no room to keep uploads for later.",
          "系统暂不可写，暂存空间已满",
          "Send the same request again after Retry-After; nothing of it was taken.",
          "请稍后重发同一请求，本次未受理"),
    Error("quarantined", 422, "Our own program failed on this message; it is kept, and the operator is told.",
          "程序处理该报文时出错，报文已封存待查",
          "Go on with the others; do not send it again unless told to. Its number is the value.",
          "请继续上传其他报文；该报文由运维处理，编号见返回值"),
    Error("quarantine_full", 507, "Our own program failed on this message, and there is no room to keep it.",
          "程序处理该报文时出错，且封存空间已满",
          "Keep it, go on with the others, and tell the operator; nothing of it was taken.",
          "本次未受理：请保留该报文，继续上传其他报文，并告知运维"),
    Error("internal", 500, "The server failed; this is our fault.", "服务器内部错误",
          "Send the same request again; if it fails again, tell us the request id.",
          "请重发；如仍失败，请提供请求编号"),
)  # fmt: skip
"""Every refusal of the HTTP doors; the codes are stable."""

ERROR = {error.code: error for error in ERRORS}


class Fault(msgspec.Struct, frozen=True):
    """One fault of a request, for its reader."""

    where: str
    value: str = ""
    what: str = ""
    do: str = ""


class Refused(Exception):  # noqa: N818  the reader's word for it
    """A request is refused with one of `ERRORS`; `what` and `do` say more than the table where there is more to say."""

    def __init__(
        self,
        code: str,
        *,
        where: str = "",
        value: str = "",
        what: str = "",
        do: str = "",
        faults: tuple[Fault, ...] = (),
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(code)
        self.error = ERROR[code]
        self.where, self.value, self.what, self.do = where, value[:VALUE_MAX], what, do
        self.faults = faults
        self.headers = headers or {}


def problem_of(refusal: Refused, request_id: str, language: str = "en") -> dict[str, Any]:
    """The members of the problem+json answer, in `zh` or `en`; what does not apply is left out."""
    error, chinese = refusal.error, language == "zh"
    members: dict[str, Any] = {
        "type": f"/errors#{error.code}",
        "title": error.title_zh if chinese else error.title,
        "status": error.status,
        "code": error.code,
        "detail": refusal.what,
        "do": refusal.do or (error.do_zh if chinese else error.do),
        "where": refusal.where,
        "value": refusal.value,
        "errors": [msgspec.to_builtins(fault) for fault in refusal.faults],
        "request_id": request_id,
    }
    return {name: value for name, value in members.items() if value not in ("", [])}
