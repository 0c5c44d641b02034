"""The part of CycloneDX 1.6 (ECMA-424) that we write, and reading it back strictly. Names are the standard's."""

from __future__ import annotations

import hashlib
from typing import Annotated, Literal
from uuid import UUID

import msgspec
from msgspec import Meta, Struct, field
from msgspec.structs import replace

Text = Annotated[str, Meta(min_length=1)]
Sha256 = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]
Kind = Literal["application", "library", "file", "machine-learning-model"]
# Whether a licence is what the package says of itself, or what we found by reading.
Acknowledgement = Literal["declared", "concluded"]


class Hash(Struct, frozen=True, kw_only=True):
    content: Sha256
    alg: Literal["SHA-256"] = "SHA-256"


class Licence(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One licence: `id` where SPDX lists it, else `name`."""

    id: Text | None = None
    name: Text | None = None
    acknowledgement: Acknowledgement | None = None


class LicenceChoice(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Either one licence, or an SPDX expression of several."""

    license: Licence | None = None
    expression: Text | None = None
    acknowledgement: Acknowledgement | None = None


class Property(Struct, frozen=True, kw_only=True):
    name: Text
    value: str


class Reference(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """type: `distribution` for a wheel, whose url is its path in the bundle; `website`."""

    type: Literal["distribution", "website"]
    url: Text
    hashes: tuple[Hash, ...] = ()


class Component(Struct, frozen=True, kw_only=True, omit_defaults=True):
    type: Kind
    name: Text
    version: str = ""
    bom_ref: Text = field(default="", name="bom-ref")
    licenses: tuple[LicenceChoice, ...] = ()
    purl: str = ""
    hashes: tuple[Hash, ...] = ()
    external_references: tuple[Reference, ...] = field(default=(), name="externalReferences")
    components: tuple[Component, ...] = ()
    properties: tuple[Property, ...] = ()


class Dependency(Struct, frozen=True, kw_only=True):
    ref: Text
    depends_on: tuple[Text, ...] = field(name="dependsOn")


class Tools(Struct, frozen=True, kw_only=True):
    components: tuple[Component, ...]


class Metadata(Struct, frozen=True, kw_only=True, omit_defaults=True):
    component: Component
    tools: Tools
    timestamp: Annotated[str, Meta(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\Z")] | None = None
    properties: tuple[Property, ...] = ()


class Bom(Struct, frozen=True, kw_only=True, omit_defaults=True):
    schema: Text = field(name="$schema")
    format: Literal["CycloneDX"] = field(name="bomFormat")
    spec_version: Literal["1.6"] = field(name="specVersion")
    serial_number: str = field(default="", name="serialNumber")
    version: Annotated[int, Meta(ge=1)]
    metadata: Metadata
    components: tuple[Component, ...]
    dependencies: tuple[Dependency, ...]


def bom(metadata: Metadata, components: tuple[Component, ...], dependencies: tuple[Dependency, ...]) -> Bom:
    """Its serial number follows from all else but the time, so that one content has one number."""
    made = Bom(
        metadata=metadata,
        components=components,
        dependencies=dependencies,
        schema="http://cyclonedx.org/schema/bom-1.6.schema.json",
        format="CycloneDX",
        spec_version="1.6",
        version=1,
    )
    timeless = replace(made, metadata=replace(metadata, timestamp=None))
    digest = hashlib.sha256(msgspec.json.encode(timeless, order="deterministic")).digest()
    # Version 8 of RFC 9562: sixteen bytes of one's own making, of which six bits are given.
    number = UUID(
        bytes=bytes((*digest[:6], 0x80 | digest[6] & 0x0F, digest[7], 0x80 | digest[8] & 0x3F, *digest[9:16]))
    )
    return replace(made, serial_number=f"urn:uuid:{number}")


def encode(made: Bom) -> bytes:
    return msgspec.json.format(msgspec.json.encode(made, order="deterministic"), indent=1) + b"\n"


def decode(data: bytes) -> Bom:
    """Raises msgspec.DecodeError."""
    return msgspec.json.decode(data, type=Bom)
