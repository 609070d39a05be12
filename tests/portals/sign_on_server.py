"""A small organisation's sign-on server (OpenID Connect) for tests: real HTTP, real signatures, faults on demand."""

import base64
import hashlib
import json
import os
import secrets
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlencode

import uvicorn
from joserfc import jwt
from joserfc.jwk import RSAKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

CLIENT, SECRET = "suyuan-node", "a secret between the two"


class Running:
    """The server as a process of its own. `who` signs in there at once; `fault` spoils what it says."""

    def __init__(self, folder: Path) -> None:
        self.told = folder / "sign-on.json"
        self.say()
        environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
        self._process = subprocess.Popen(
            [sys.executable, __file__, str(self.told)], stdout=subprocess.PIPE, text=True, env=environment
        )
        assert self._process.stdout is not None
        self.address = self._process.stdout.readline().strip()

    def say(self, who: str = "u-1001", fault: str = "") -> None:
        """Who signs in there from now on, and what is wrong with what the server says of it."""
        self.told.write_text(json.dumps({"who": who, "fault": fault}), encoding="utf-8")

    def settings(self) -> str:
        """What stands in the settings of a node that trusts this server."""
        return f'oidc_issuer = "{self.address}"\noidc_client = "{CLIENT}"\noidc_secret = "{SECRET}"\n'

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(timeout=20)
        if self._process.stdout is not None:
            self._process.stdout.close()


def application(address: str, told: Path) -> Starlette:
    """The server's four addresses."""
    key, other = RSAKey.generate_key(2048, {"kid": "1"}), RSAKey.generate_key(2048, {"kid": "1"})
    codes: dict[str, dict[str, str]] = {}

    def wanted() -> dict[str, str]:
        return dict(json.loads(told.read_text(encoding="utf-8")))

    async def discovery(_: Request) -> Response:
        return JSONResponse(
            {
                "issuer": address if wanted()["fault"] != "issuer" else "http://127.0.0.1:1",
                "authorization_endpoint": f"{address}/authorize",
                "token_endpoint": f"{address}/token",
                "jwks_uri": f"{address}/keys",
            }
        )

    async def keys(_: Request) -> Response:
        return JSONResponse({"keys": [key.as_dict(private=False)]})

    async def authorize(request: Request) -> Response:
        asked = dict(request.query_params)
        assert (asked["response_type"], asked["code_challenge_method"]) == ("code", "S256")
        code = secrets.token_urlsafe(8)
        codes[code] = asked
        state = "another" if wanted()["fault"] == "state" else asked["state"]
        back = {"state": state, **({"error": "access_denied"} if wanted()["fault"] == "denied" else {"code": code})}
        return RedirectResponse(f"{asked['redirect_uri']}?{urlencode(back)}", 302)

    async def token(request: Request) -> Response:
        sent, said = dict(await request.form()), wanted()
        asked = codes.pop(str(sent.get("code")), {})
        basic = base64.b64encode(f"{CLIENT}:{SECRET}".encode()).decode()
        challenge = hashlib.sha256(str(sent.get("code_verifier")).encode()).digest()
        right = (
            request.headers.get("authorization") == f"Basic {basic}"
            and asked.get("redirect_uri") == sent.get("redirect_uri")
            and asked.get("code_challenge") == base64.urlsafe_b64encode(challenge).decode().rstrip("=")
        )
        if not right:
            return JSONResponse({"error": "invalid_grant"}, 400)
        return JSONResponse({"id_token": _token(said, asked, address, other if said["fault"] == "key" else key)})

    return Starlette(
        routes=[
            Route("/.well-known/openid-configuration", discovery),
            Route("/keys", keys),
            Route("/authorize", authorize),
            Route("/token", token, methods=["POST"]),
        ]
    )


def _token(said: dict[str, str], asked: dict[str, str], address: str, key: RSAKey) -> str:
    fault, now = said["fault"], int(time.time())
    claims: dict[str, Any] = {
        "iss": address if fault != "iss" else "http://127.0.0.1:1",
        "aud": CLIENT if fault != "aud" else "another",
        "sub": said["who"],
        "iat": now,
        "exp": now + (300 if fault != "exp" else -300),
        "nonce": asked["nonce"] if fault != "nonce" else "another",
    }
    if fault == "none":
        parts = (json.dumps(part).encode() for part in ({"alg": "none"}, claims))
        return ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts) + "."
    return jwt.encode({"alg": "RS256", "kid": "1"}, claims, key)


def main() -> None:
    """Serve on a free port; the first line of the output is the address."""
    config = uvicorn.Config("unused", log_level="warning", port=0)
    listening = config.bind_socket()
    address = f"http://127.0.0.1:{listening.getsockname()[1]}"
    sys.stdout.write(address + "\n")
    sys.stdout.flush()
    app = application(address, Path(sys.argv[1]))
    uvicorn.Server(uvicorn.Config(app, log_level="warning")).run(sockets=[listening])


if __name__ == "__main__":
    main()
