"""llama-cpp-python as wheels that a device need not compile: cross-compiled here, once for each kind of processor.

Built without OpenMP: llama.cpp then uses threads of its own, and a bare system needs no libgomp1, which a bundle could
not bring. Kept in the user's cache, under a name that changes with the recipe. `python -m firmware_configs.bundle.llama
here` builds one for this very machine and prints its folder: what install.sh does in a clone.
"""

from __future__ import annotations

import csv
import hashlib
import importlib.util
import io
import os
import platform
import shutil
import sys
import tarfile
import tempfile
import zipfile
from base64 import urlsafe_b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any

from firmware_configs.bundle.target import Target, Variant
from firmware_configs.bundle.tool import ToolFailed, pip, run
from firmware_configs.errors import LibraryNotBuilt

VERSION = "0.3.36"
COMMON = ("-DGGML_NATIVE=OFF", "-DGGML_OPENMP=OFF", "-DLLAVA_BUILD=OFF", "-DLLAMA_CURL=OFF")
# What Debian 12's compiler asks of the C library: counted in the finished libraries, and checked on each build.
GLIBC_MINOR = 34
SOURCE_SHA256 = "832db0699007f1be95a7e41ef12e88926b02ba836461e36a36372db2760c1a2e"
TOOL, SERVER = "llama-bench", "llama-server"
# What turns pictures into rows for a model: no bundle brings it, since few devices have a model that sees.
EYES = "libmtmd.so"
TOOL_FLAGS = (
    "-DLLAMA_BUILD_TOOLS=ON",
    "-DLLAMA_BUILD_TESTS=OFF",
    "-DLLAMA_BUILD_EXAMPLES=OFF",
)
# Without its page, which would be fetched while it is built, and without TLS.
SERVER_FLAGS = {
    TOOL: ("-DLLAMA_BUILD_SERVER=OFF",),
    SERVER: (
        "-DLLAMA_BUILD_SERVER=ON",
        "-DLLAMA_BUILD_APP=OFF",
        "-DLLAMA_BUILD_UI=OFF",
        "-DLLAMA_USE_PREBUILT_UI=OFF",
        "-DLLAMA_OPENSSL=OFF",
    ),
}
TOOL_LIBRARIES = ("libllama-*.so*", "libmtmd*.so*")
EXAMPLE_SERVER = "example-server"

Say = Callable[[str], None]


def wheels_of(target: Target, cache: Path, say: Say) -> dict[str, Path]:
    """The wheel of each variant, from the cache or built: minutes each. Raises LibraryNotBuilt (KF248)."""
    cross = target.machine != platform.machine()
    folder = cache / "llama" / f"{VERSION}-{_recipe(target)}"
    found = {one.name: _cached(folder / one.name) for one in target.variants}
    missing = [one for one in target.variants if found[one.name] is None]
    if missing:
        _require_compiler(target, missing[0], cross)
        with tempfile.TemporaryDirectory(prefix="kinflow-llama-") as name:
            work = Path(name)
            tree = _source(work, missing[0])
            # The variants differ in a few files of one library: the second build takes over what the first has made.
            for one in missing:
                say(f"building llama.cpp for {one.name}; this takes some minutes, once")
                found[one.name] = _build(one, target, tree, folder / one.name, cross=cross)
    return {name: wheel for name, wheel in found.items() if wheel is not None}


def tool_of(target: Target, cache: Path, say: Say, tool: str = TOOL) -> Path:
    """llama-bench or llama-server of the same source and flags, with the libraries that it needs besides the wheel's;
    from the cache or built, which compiles all of llama.cpp. One build makes the server and llama-bench. Raises
    LibraryNotBuilt (KF248)."""
    variant = target.variants[0]
    folder = _folder(target, cache)
    if (folder / tool).is_file():
        return folder / tool
    _require_compiler(target, variant, cross=False)
    tools = [tool] if tool == TOOL or (folder / TOOL).is_file() else [TOOL, tool]
    with tempfile.TemporaryDirectory(prefix="kinflow-llama-bench-") as name:
        tree, build = _source(Path(name), variant), Path(name) / "build"
        say(f"building {tool}; this takes some minutes, once")
        flags = [*COMMON, *variant.flags, "-DCMAKE_BUILD_TYPE=Release", "-DBUILD_SHARED_LIBS=ON", *TOOL_FLAGS]
        try:
            run(["cmake", "-S", str(tree / "vendor" / "llama.cpp"), "-B", str(build), *flags, *SERVER_FLAGS[tool]])
            run(["cmake", "--build", str(build), "--target", *tools, "--parallel", str(os.cpu_count() or 1)])
            _keep_example(tree, folder)
            for one in tools:
                _keep_tool(build / "bin", folder, one)
            return folder / tool
        except (ToolFailed, OSError) as error:
            raise _not_built(variant, error) from error


def eyes_of(target: Target, cache: Path, say: Say) -> Path:
    """libmtmd of the same source and flags; from the cache or built, which compiles all of llama.cpp. Where the wheel's
    libraries are loaded it takes those. Raises LibraryNotBuilt (KF248)."""
    variant, folder = target.variants[0], _folder(target, cache)
    if (folder / EYES).is_file():
        return folder / EYES
    _require_compiler(target, variant, cross=False)
    with tempfile.TemporaryDirectory(prefix="kinflow-llama-eyes-") as name:
        tree, build = _source(Path(name), variant), Path(name) / "build"
        say(f"building {EYES}; this takes some minutes, once")
        flags = [*COMMON, *variant.flags, "-DCMAKE_BUILD_TYPE=Release", "-DBUILD_SHARED_LIBS=ON", *TOOL_FLAGS]
        try:
            run(["cmake", "-S", str(tree / "vendor" / "llama.cpp"), "-B", str(build), *flags, *SERVER_FLAGS[TOOL]])
            run(["cmake", "--build", str(build), "--target", "mtmd", "--parallel", str(os.cpu_count() or 1)])
            folder.mkdir(parents=True, exist_ok=True)
            _put(build / "bin" / EYES, folder / EYES)
        except (ToolFailed, OSError) as error:
            raise _not_built(variant, error) from error
    return folder / EYES


def install_eyes(built: Path) -> Path:
    """Beside the libraries of the llama-cpp-python that is installed here. Raises LibraryNotBuilt (KF248)."""
    found = importlib.util.find_spec("llama_cpp")
    places = list(found.submodule_search_locations or ()) if found is not None else []
    if not places:
        remedy = "Install what the family needs first: pip install '.[family]' in the clone."
        raise LibraryNotBuilt(variant=EYES, detail="llama-cpp-python is not installed", remedy=remedy)
    place = Path(places[0]) / "lib" / EYES
    try:
        _put(built, place)
    except OSError as error:
        raise LibraryNotBuilt(variant=EYES, detail=error, remedy="Run it as who installed Kinflow.") from error
    return place


def _put(source: Path, target: Path) -> None:
    """Whole or not at all."""
    part = target.with_name(f".{target.name}.part")
    shutil.copy(source, part)
    part.replace(target)


def example_of(target: Target, cache: Path) -> Path:
    """The server among the examples of llama-cpp-python's source, from the cache or fetched. Raises LibraryNotBuilt
    (KF248)."""
    folder = _folder(target, cache)
    path = folder / f"{EXAMPLE_SERVER}.py"
    if not path.is_file():
        with tempfile.TemporaryDirectory(prefix="kinflow-llama-") as name:
            tree = _source(Path(name), target.variants[0])
            try:
                _keep_example(tree, folder)
            except OSError as error:
                raise _not_built(target.variants[0], error) from error
    return path


def _folder(target: Target, cache: Path) -> Path:
    return cache / "llama" / f"{VERSION}-{_recipe(target)}" / target.variants[0].name


def _keep_example(tree: Path, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(tree / "examples" / "server" / "server.py", folder / f"{EXAMPLE_SERVER}.py")


def _keep_tool(built: Path, folder: Path, tool: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for pattern in TOOL_LIBRARIES:
        for library in built.glob(pattern):
            shutil.copy(library, folder)
    part = folder / f".{tool}.part"
    shutil.copy(built / tool, part)
    part.replace(folder / tool)


def cache_folder() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "kinflow"


def _recipe(target: Target) -> str:
    text = repr((VERSION, COMMON, target.variants, GLIBC_MINOR))
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _cached(folder: Path) -> Path | None:
    return next(iter(sorted(folder.glob("*.whl"))), None)


def _require_compiler(target: Target, variant: Variant, cross: bool) -> None:
    compiler = f"{target.compiler}g++" if cross else "g++"
    if shutil.which(compiler) is None:
        package = f"g++-{target.compiler.rstrip('-')}" if cross else "g++"
        raise LibraryNotBuilt(
            variant=variant.name,
            detail=f"{compiler} is not installed",
            remedy=f"Install it (sudo apt-get install {package}), or leave llama.cpp out with --no-llama.",
        )


def _source(work: Path, variant: Variant) -> Path:
    try:
        # Asking a source archive for its metadata would begin to build it.
        command = pip("download", "--quiet", "--no-deps", "--no-binary", "llama-cpp-python", "-d", str(work))
        run([*command, f"llama-cpp-python=={VERSION}"])
        archive = next(work.glob("*.tar.gz"))
        with archive.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != SOURCE_SHA256:
                raise OSError(f"{archive.name} is not the source that Kinflow was tried with")
        with tarfile.open(archive) as tar:
            # Debian 12's Python (3.11.2) knows no filter; which archive it is was looked at above.
            safely: dict[str, Any] = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
            tar.extractall(work, **safely)  # noqa: S202
    except (ToolFailed, StopIteration, OSError, tarfile.TarError) as error:
        raise _not_built(variant, error) from error
    return work / archive.name.removesuffix(".tar.gz")


def _build(variant: Variant, target: Target, tree: Path, into: Path, *, cross: bool) -> Path:
    work, flags = tree.parent, [*COMMON, *variant.flags]
    if cross:
        toolchain = work / "toolchain.cmake"
        toolchain.write_text(
            "set(CMAKE_SYSTEM_NAME Linux)\n"
            f"set(CMAKE_SYSTEM_PROCESSOR {target.machine})\n"
            f"set(CMAKE_C_COMPILER {target.compiler}gcc)\n"
            f"set(CMAKE_CXX_COMPILER {target.compiler}g++)\n"
            f"set(CMAKE_STRIP {target.compiler}strip)\n"
            "set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)\n"
            "set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)\n"
            "set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)\n"
        )
        flags.append(f"-DCMAKE_TOOLCHAIN_FILE={toolchain}")
    raw = work / "raw" / variant.name
    settings = {
        "build-dir": str(work / "build"),
        "cmake.build-type": "Release",
        "install.strip": "true",
    }
    options = [word for key, value in settings.items() for word in ("--config-settings", f"{key}={value}")]
    command = pip("wheel", "--quiet", "--no-deps", "--wheel-dir", str(raw), *options, str(tree))
    environment = {key: value for key, value in os.environ.items() if key not in ("CFLAGS", "CXXFLAGS", "LDFLAGS")}
    environment |= {"CMAKE_ARGS": " ".join(flags), "CMAKE_BUILD_PARALLEL_LEVEL": str(os.cpu_count() or 1)}
    try:
        run(command, environment=environment)
        return _packed(next(raw.glob("*.whl")), target, into, minor=None if target.native else GLIBC_MINOR)
    except (ToolFailed, StopIteration, OSError) as error:
        raise _not_built(variant, error) from error


def _not_built(variant: Variant, error: Exception) -> LibraryNotBuilt:
    return LibraryNotBuilt(
        variant=variant.name,
        detail=error,
        remedy="Correct the cause and run it again, or leave it out with --no-llama.",
    )


def _packed(wheel: Path, target: Target, into: Path, *, minor: int | None = GLIBC_MINOR) -> Path:
    """The wheel under its true platform, without what CMake installs beside the package (headers, a second copy).
    minor: the newest C library, 2.minor, that it may need; None: whichever this machine has."""
    platform_tag = "linux" if minor is None else f"manylinux_2_{minor}"
    tag = f"py3-none-{platform_tag}_{target.machine}"
    into.mkdir(parents=True, exist_ok=True)
    name = f"llama_cpp_python-{VERSION}-{tag}.whl"
    part = into / f".{name}.part"
    record: list[tuple[str, str, str]] = []
    with zipfile.ZipFile(wheel) as old, zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as new:
        for info in sorted(old.infolist(), key=lambda one: one.filename):
            if not info.filename.startswith(("llama_cpp/", "llama_cpp_python-")) or info.is_dir():
                continue
            data = old.read(info)
            folder, _, last = info.filename.rpartition("/")
            if folder.endswith(".dist-info") and last == "RECORD":
                continue
            if folder.endswith(".dist-info") and last == "WHEEL":
                lines = [line for line in data.decode().splitlines() if not line.startswith("Tag: ")]
                data = "\n".join([*lines, f"Tag: {tag}", ""]).encode()
            if minor is not None:
                _require_old_library(info.filename, data, minor)
            digest = urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
            record.append((info.filename, f"sha256={digest}", str(len(data))))
            _write(new, info.filename, data, info.external_attr)
        path = f"llama_cpp_python-{VERSION}.dist-info/RECORD"
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([*record, (path, "", "")])
        _write(new, path, text.getvalue().encode(), 0o644 << 16)
    part.replace(into / name)
    return into / name


def _write(archive: zipfile.ZipFile, name: str, data: bytes, attributes: int) -> None:
    info = zipfile.ZipInfo(name)
    info.external_attr = attributes
    info.compress_type = zipfile.ZIP_DEFLATED
    archive.writestr(info, data)


def _require_old_library(name: str, data: bytes, minor: int) -> None:
    """A library names each version of the C library whose symbols it uses: a newer one would not load on the oldest
    system, whatever the wheel's tag says."""
    if not data.startswith(b"\x7fELF"):
        return
    newer = [one for one in range(minor + 1, 60) if f"\0GLIBC_2.{one}\0".encode() in data]
    if newer:
        raise OSError(f"{name} needs glibc 2.{newer[-1]}; build it on an older system (Debian 12)")


def main() -> int:
    """Build and keep the wheels of each target named on the command line: what CI does ahead of a release. `here`
    prints nothing but the folder of the wheel for this machine; `eyes` builds what reads pictures, and puts it beside
    the llama.cpp that is installed. Returns the exit status."""
    from firmware_configs.bundle.target import TARGETS, here  # noqa: PLC0415

    try:
        if sys.argv[1:] == ["here"]:
            for wheel in wheels_of(here(), cache_folder(), lambda text: print(text, file=sys.stderr)).values():
                print(wheel.parent)
            return 0
        if sys.argv[1:] == ["eyes"]:
            print(install_eyes(eyes_of(here(), cache_folder(), lambda text: print(text, file=sys.stderr))))
            return 0
        for name in sys.argv[1:] or TARGETS:
            for variant, wheel in wheels_of(TARGETS[name], cache_folder(), print).items():
                print(f"{variant}: {wheel}")
    except LibraryNotBuilt as error:
        print(error, file=sys.stderr)
        return error.exit_status
    return 0


if __name__ == "__main__":
    sys.exit(main())
