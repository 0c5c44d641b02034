"""GET /install and GET /bundles/<arch>.tar: public, for a device that joins has no account and no certificate yet."""

from __future__ import annotations

import re

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import FileResponse, PlainTextResponse

from edge_server.accounts.need import need
from edge_server.bundles.one_line import BUNDLES, INSTALL, script
from edge_server.bundles.shelf import ARCHES, Shelf
from edge_server.errors import NotKnown

# The guard has let this name in; a script is no place for what it may hold besides.
_HOST = re.compile(r"[A-Za-z0-9.:\[\]_-]{1,260}\Z")


def bundles_api(shelf: Shelf) -> APIRouter:
    router = APIRouter(tags=["bundles"])

    @router.get(INSTALL, response_class=PlainTextResponse)
    @need("public")
    async def install(request: Request) -> PlainTextResponse:
        """The script that installs a device from here; `kinflow edge install-line` prints the line that fetches it."""
        host = request.headers.get("host", "")
        if not _HOST.match(host):
            raise NotKnown(kind="host", name=host[:80])
        found = [await run_in_threadpool(shelf.newest, arch) for arch in ARCHES]
        return PlainTextResponse(script(f"{request.url.scheme}://{host}", found))

    @router.get(BUNDLES + "/{name}", response_class=FileResponse)
    @need("public")
    async def bundle(name: str) -> FileResponse:
        """The newest bundle for a processor: `arm64.tar` or `x86_64.tar`. Ranges are served."""
        arch = name.removesuffix(".tar")
        found = await run_in_threadpool(shelf.newest, arch) if name.endswith(".tar") and arch in ARCHES else None
        if found is None:
            raise NotKnown(kind="bundle", name=name[:80])
        headers = {"X-Kinflow-Version": found.version, "X-Kinflow-SHA256": found.sha256}
        return FileResponse(found.path, media_type="application/x-tar", filename=found.path.name, headers=headers)

    return router
