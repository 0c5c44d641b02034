"""A join code as a picture that a phone reads."""

from __future__ import annotations

import io

import segno


def qr_svg(text: str) -> str:
    """SVG without a declaration or a style of its own, to be put into a page as an image."""
    out = io.BytesIO()
    segno.make(text, error="m", micro=False).save(
        out, kind="svg", xmldecl=False, border=4, omitsize=True, dark="#000", light="#fff", nl=False
    )
    return out.getvalue().decode("utf-8")
