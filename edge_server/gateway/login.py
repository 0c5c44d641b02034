"""The page that asks who you are. Its style is allowed by its hash, so nothing else is served; it needs no script."""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256
from html import escape
from urllib.parse import parse_qs

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from edge_server.accounts.accounts import Accounts
from edge_server.accounts.need import need
from edge_server.accounts.secret import digest
from edge_server.gateway import auth
from edge_server.gateway.answers import error_headers, status_of
from edge_server.gateway.guard import LOGIN, Headers, host_name, is_local
from protocol.errors import KinflowError

_STYLE = """
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
body { display: grid; place-items: center; min-height: 90vh; margin: 1rem; }
main { display: grid; gap: 1rem; width: min(24rem, 100%); }
form { display: grid; gap: .5rem; }
h1 { font-size: 1.25rem; margin: 0; }
p { margin: 0; }
input, button { font: inherit; padding: .5rem .75rem; border-radius: 6px; border: 1px solid GrayText; min-width: 0; }
button { background: #1f5fbf; border-color: #1f5fbf; color: #fff; margin-top: .5rem; }
summary { cursor: pointer; margin-bottom: .5rem; }
[role=alert]:not(:empty) { border-left: 4px solid #c22; padding-left: .75rem; }
:focus-visible { outline: 3px solid #5a9bff; outline-offset: 2px; }
"""
_POLICY = (
    f"default-src 'none'; style-src 'sha256-{b64encode(sha256(_STYLE.encode()).digest()).decode()}'; img-src data:; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Kinflow: sign in</title><link rel="icon" href="data:,"><style>{style}</style></head>
<body><main>
<h1>Kinflow</h1>
<p role="alert">{problem}</p>
{forms}
</main></body></html>
"""
_BY_NAME = """<form method="post" action="{action}">
<label for="name">Name</label>
<input id="name" name="name" autocomplete="username" autocapitalize="none" spellcheck="false" maxlength="63" required
 autofocus>
<label for="password">Password</label>
<input id="password" name="password" type="password" autocomplete="current-password" maxlength="256" required>
<button type="submit">Sign in</button>
</form>
<details><summary>Sign in with the machine's key</summary>{by_key}</details>"""
_BY_KEY = """<form method="post" action="{action}">
<p><code>kinflow edge token</code> prints the key on the edge server's machine.</p>
<label for="token">Key</label>
<input id="token" name="token" type="password" autocomplete="off" required{autofocus}>
<button type="submit">Sign in with the key</button>
</form>"""
_NOBODY_YET = "<p>There are no accounts yet: <code>kinflow edge user add NAME --role admin</code> makes the first.</p>"
_MOST_FIELDS = 4


def login(accounts: Accounts) -> APIRouter:
    router = APIRouter(include_in_schema=False)

    @router.get(LOGIN)
    @need("public")
    async def page() -> Response:
        """The page that asks who you are."""
        return await _page(accounts)

    @router.post(LOGIN)
    @need("public")
    async def enter(request: Request) -> Response:
        """Take what that page asked for: a name and a password, or the machine's key."""
        fields = form_fields(await request.body())
        try:
            session = await run_in_threadpool(_enter, accounts, request, fields)
        except KinflowError as error:
            # 401: who signs in with a password that is wrong is not let in; elsewhere it is 403.
            status = 401 if status_of(error) == 403 else status_of(error)
            return await _page(accounts, f"{error.cause_text} {error.advice_text}", status, error_headers(error))
        answer = RedirectResponse("/", status_code=303)
        answer.headers["set-cookie"] = auth.set_cookie(session, secure=request.url.scheme == "https")
        return answer

    return router


def form_fields(body: bytes) -> dict[str, list[str]]:
    """What a form sent; nothing where it is none of ours."""
    try:
        return parse_qs(body.decode("utf-8", "replace"), max_num_fields=_MOST_FIELDS)
    except ValueError:
        return {}


def _enter(accounts: Accounts, request: Request, fields: dict[str, list[str]]) -> str:
    """The new session, under a new id; one that the browser held before ends."""
    headers = Headers(request.scope)
    address = request.client.host if request.client else ""
    local = is_local(request.scope, headers, host_name(headers.one(b"host") or ""))
    if "token" in fields:
        session = accounts.sign_in_by_root(fields["token"][0], address, local)
    else:
        name, password = (fields.get(field, [""])[0] for field in ("name", "password"))
        session = accounts.sign_in(name, password, address, local)
    before = auth.cookie(headers.all(b"cookie"), request.url.scheme == "https")
    if before:
        accounts.sessions.end(digest(before))
    return session


async def _page(
    accounts: Accounts, problem: str = "", status: int = 200, more: dict[str, str] | None = None
) -> HTMLResponse:
    if await run_in_threadpool(accounts.exist):
        forms = _BY_NAME.format(action=LOGIN, by_key=_BY_KEY.format(action=LOGIN, autofocus=""))
    else:
        forms = _BY_KEY.format(action=LOGIN, autofocus=" autofocus") + _NOBODY_YET
    # A form's POST names its origin only under this referrer policy; under no-referrer it would say `null`.
    headers = {"Content-Security-Policy": _POLICY, "Referrer-Policy": "same-origin", **(more or {})}
    return HTMLResponse(_PAGE.format(style=_STYLE, problem=escape(problem), forms=forms), status, headers)
