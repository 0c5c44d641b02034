"""Phrases filled with the names of made-up sites, as people spell them: what the whole chain is measured and calibrated
on."""

from __future__ import annotations

import random
import re
from typing import Any

from models.training.kin.lessons import FREE_TEXT, Phrase
from models.training.kin.names import site, spoken

_OPEN = re.compile(r"\{(intersection|device|approach|setting)\}")


def filled(phrase: Phrase, chance: random.Random) -> dict[str, Any]:
    """{question, entities, tool, arguments}, as `kinflow eval assistant` reads them."""
    entities = site(chance)
    picked = {
        kind: chance.choice(entities[f"{kind}es" if kind == "approach" else f"{kind}s"])
        for kind in ("intersection", "device", "approach", "setting")
    }
    # In free text the words themselves are kept; elsewhere a name is repeated as the site spells it.
    said = {kind: name if FREE_TEXT.get(phrase.tool) else spoken(name, chance) for kind, name in picked.items()}
    arguments = {
        name: _OPEN.sub(lambda one: picked[one[1]], value) if isinstance(value, str) else value
        for name, value in phrase.arguments.items()
    }
    question = _OPEN.sub(lambda one: said[one[1]], phrase.question)
    return {"question": question, "entities": entities, "tool": phrase.tool.value, "arguments": arguments}
