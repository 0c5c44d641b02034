"""Find every check, run it, and let no broken check hide the others."""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import cast

from node.doctor.check import Check, Context, Fixable, Result
from node.errors import CheckBroken
from protocol.errors import KinflowError

# Packages that may hold checks. A tier's own checks stand with the tier, and are found by name where it is installed.
PACKAGES = ("node.doctor.checks", "agent.checks", "edge_server.checks")


def discover(packages: Iterable[str] = PACKAGES) -> dict[str, Check]:
    """Every check by its slug. A file of checks holds one class with a method `run`."""
    found: dict[str, Check] = {}
    for name in packages:
        if importlib.util.find_spec(name) is None:
            continue
        package = importlib.import_module(name)
        for module in pkgutil.iter_modules(package.__path__):
            with suppress(_TierNotInstalled):
                found[module.name] = _only_check(f"{name}.{module.name}")
    return dict(sorted(found.items()))


def examine(checks: Mapping[str, Check], context: Context, fix: bool = False) -> dict[str, Result]:
    """Run each check; with `fix`, try to put a failure right and run that check once more."""
    results = {}
    for slug, check in checks.items():
        result = run(slug, check, context)
        if fix and not result.ok and hasattr(check, "fix"):
            result = _fixed(slug, cast(Fixable, check), context)
        results[slug] = result
    return results


def run(slug: str, check: Check, context: Context) -> Result:
    try:
        return Result(f"KF{check.error.number}", True, check.run(context))
    except KinflowError as error:
        return _failed(error)
    except Exception as error:
        return _failed(CheckBroken(slug=slug, detail=f"{type(error).__name__}: {error}"))


def _fixed(slug: str, check: Fixable, context: Context) -> Result:
    try:
        done = check.fix(context)
    except KinflowError as error:
        return _failed(error)
    except Exception as error:
        return _failed(CheckBroken(slug=slug, detail=f"{type(error).__name__}: {error}"))
    again = run(slug, check, context)
    return Result(again.code, again.ok, f"{done} {again.advice}")


def _failed(error: KinflowError) -> Result:
    return Result(error.code, False, f"{error.cause_text} {error.advice_text}")


class _TierNotInstalled(Exception):
    pass


def _only_check(module_name: str) -> Check:
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        # Every machine has every tier's code, and only its own tier's libraries: an agent has no store to check.
        ours = {one.partition(".")[0] for one in PACKAGES}
        if module_name.startswith("node.") or (error.name or "").partition(".")[0] in ours:
            raise
        raise _TierNotInstalled from error
    classes = [one for one in vars(module).values() if isinstance(one, type) and one.__module__ == module_name]
    (check,) = [one for one in classes if hasattr(one, "run")]
    return cast(Check, check())
