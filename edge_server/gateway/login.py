"""The one page that needs no token: it takes one. Its style is allowed by its hash, so nothing else is served."""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256
from html import escape
from urllib.parse import parse_qs

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from edge_server.accounts.need import need
from edge_server.gateway import auth
from edge_server.gateway.guard import LOGIN

_STYLE = """
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
body { display: grid; place-items: center; min-height: 90vh; margin: 1rem; }
form { display: grid; gap: .75rem; width: min(24rem, 100%); }
h1 { font-size: 1.25rem; margin: 0; }
p { margin: 0; }
input, button { font: inherit; padding: .5rem .75rem; border-radius: 6px; border: 1px solid GrayText; }
button { background: #1f5fbf; border-color: #1f5fbf; color: #fff; }
:focus-visible { outline: 3px solid #5a9bff; outline-offset: 2px; }
"""
_POLICY = (
    f"default-src 'none'; style-src 'sha256-{b64encode(sha256(_STYLE.encode()).digest()).decode()}'; img-src data:; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Kinflow: sign in</title><link rel="icon" href="data:,"><style>{style}</style></head>
<body><main><form method="post" action="{action}">
<h1>Kinflow</h1>
<p>This dashboard asks for the edge server's token. <code>kinflow edge token</code> prints it on that machine.</p>
<p role="alert">{problem}</p>
<label for="token">Token</label>
<input id="token" name="token" type="password" autocomplete="current-password" required autofocus>
<button type="submit">Sign in</button>
</form></main></body></html>
"""


def login(token: str) -> APIRouter:
    router = APIRouter(include_in_schema=False)

    @router.get(LOGIN)
    @need("public")
    async def page() -> Response:
        """The page that asks who you are."""
        return _page()

    @router.post(LOGIN)
    @need("public")
    async def enter(request: Request) -> Response:
        """Take what that page asked for."""
        fields = parse_qs((await request.body()).decode("utf-8", "replace"))
        given = fields.get("token", [""])[0].strip()
        if not auth.same(given, token):
            return _page("That is not this server's token.", status=401)
        answer = RedirectResponse("/", status_code=303)
        answer.headers["set-cookie"] = auth.set_cookie(token, secure=request.url.scheme == "https")
        return answer

    return router


def _page(problem: str = "", status: int = 200) -> HTMLResponse:
    # A form's POST names its origin only under this referrer policy; under no-referrer it would say `null`.
    headers = {"Content-Security-Policy": _POLICY, "Referrer-Policy": "same-origin"}
    return HTMLResponse(_PAGE.format(style=_STYLE, action=LOGIN, problem=escape(problem)), status, headers)
