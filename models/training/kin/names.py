"""Names as sites of many kinds give them: to leave a mention as it is spelled, now and then, and to test how mentions
are found."""

from __future__ import annotations

import random

STREETS = (
    "Main", "Oak", "Harbour", "Station", "Church", "Mill", "King", "Queen", "Park", "Bridge", "Market", "River", "Elm",
    "High", "Castle", "Garden", "School", "Victoria", "Lincoln", "Wilson", "Maple", "Cedar", "Lake", "Hill", "Depot",
    "Airport", "Canal", "Forest", "Museum", "Stadium", "Abbey", "Tower", "Ring", "Dock", "Ferry", "Orchard", "Union",
    "Jefferson", "Goethe", "Linden", "Rosa Parks", "Saint James", "Old Town", "University", "Cathedral", "Windmill",
)  # fmt: skip
KINDS = ("Street", "Avenue", "Road", "Lane", "Square", "Way", "Boulevard", "Drive", "Gate", "Plaza", "Circus", "")
ORDINALS = ("First", "Second", "Third", "4th", "5th", "Sixth", "7th", "8th", "Ninth", "12th", "21st")
DIRECTIONS = ("north", "south", "east", "west", "northeast", "southwest")
DEVICES = (
    "cam",
    "camera",
    "pi",
    "node",
    "agent",
    "gw",
    "edge",
    "sensor",
    "jetson",
    "box",
    "ctrl",
    "radar",
    "unit",
    "rsu",
)
SETTINGS = (
    "night mode", "frame rate", "report interval", "siren threshold", "log level", "exposure", "brightness", "language",
    "green extension", "max green", "privacy blur", "heartbeat", "auto update", "recording", "resolution", "gain",
    "confidence threshold", "queue warning", "emergency priority", "bus priority", "wiper", "heater", "time zone",
    "stop line offset", "min green", "saturation flow", "demo mode", "voice", "volume", "retention days", "wifi power",
)  # fmt: skip


def intersection(chance: random.Random) -> str:
    one, other = chance.sample(STREETS, 2)
    kind = chance.choice(KINDS)
    return chance.choice(
        (
            f"{one} & {chance.choice(ORDINALS)}",
            f"{one} {kind} and {other} {chance.choice(KINDS)}".strip(),
            f"{one} {kind}".strip(),
            f"{one}/{other}",
            f"{one.lower()}_{other.lower()}".replace(" ", "_"),
            f"{one.lower()}-{chance.randint(1, 40)}".replace(" ", "-"),
            f"J{chance.randint(1, 99)}",
            f"int_{chance.randint(1, 400):03d}",
            f"{chance.choice('ABCDEFG')}{chance.randint(0, 9)}",
            f"{one} {chance.choice(('roundabout', 'junction', 'cross', 'corner', 'interchange', 'circle'))}",
            f"{chance.choice(ORDINALS)} and {other}",
        )
    )


def device(chance: random.Random) -> str:
    kind, street = chance.choice(DEVICES), chance.choice(STREETS).lower().replace(" ", "-")
    return chance.choice(
        (
            f"{kind}-{chance.randint(1, 30)}",
            f"{kind}{chance.randint(1, 99):02d}",
            f"{street}-{kind}",
            f"{kind}_{street}_{chance.choice(DIRECTIONS)}",
            f"{kind}-{street}-{chance.randint(1, 4)}",
            f"{street} {kind}",
            f"{chance.choice(DIRECTIONS)[0]}{chance.randint(1, 9)}-{kind}",
            f"{kind.upper()}.{chance.randint(1, 20)}",
        )
    )


def approach(chance: random.Random) -> str:
    way = chance.choice(DIRECTIONS)
    return chance.choice(
        (
            way, way[0].upper(), f"{way}bound", f"{way} arm", f"{chance.choice(STREETS)} {way}", f"{way}_in",
            f"{chance.choice(STREETS).lower()} inbound", f"leg {chance.randint(1, 4)}",
            f"from {chance.choice(STREETS)}",
            f"A{chance.randint(1, 4)}", "inbound", "outbound", "ramp", "bus lane", "harbour side",
        )
    )  # fmt: skip


def setting(chance: random.Random) -> str:
    one = chance.choice(SETTINGS)
    return chance.choice((one, one.replace(" ", "_"), one.replace(" ", "-"), one.title().replace(" ", "")))


MAKERS = {"intersection": intersection, "device": device, "approach": approach, "setting": setting}


# --- sites, and how people spell their names --------------------------------------------------------------------------


def site(chance: random.Random) -> dict[str, list[str]]:
    """{intersections, devices, approaches, settings}, each in one or two styles, no name twice."""
    counts = {"intersection": (3, 12), "device": (3, 16), "approach": (2, 8), "setting": (3, 10)}
    made = {}
    for kind, (least, most) in counts.items():
        wanted = chance.randint(least, most)
        found: list[str] = []
        state = chance.getrandbits(32)
        for number in range(400):
            # One style for most of a site's names: the choice of the pattern repeats.
            name = MAKERS[kind](chance if chance.random() < 0.3 else _Styled(state, number))
            if len(name) > 0 and name.lower() not in {one.lower() for one in found}:
                found.append(name)
            if len(found) == wanted:
                break
        made[f"{kind}es" if kind == "approach" else f"{kind}s"] = found
    return made


class _Styled(random.Random):
    """Chooses one pattern of several long ones always alike, all else anew."""

    def __init__(self, style: int, number: int) -> None:
        super().__init__(style * 1009 + number)
        self._style = style

    def choice(self, options):  # type: ignore[no-untyped-def]
        if (
            len(options) >= 8
            and isinstance(options, tuple)
            and len({type(one) for one in options}) == 1
            and (any("_" in one or "-" in one or "/" in one for one in options))
        ):
            return options[self._style % len(options)]
        return super().choice(options)


_NUMBER_WORDS = {"1": "one", "2": "two", "3": "three", "4": "four", "5": "five", "6": "six", "7": "seven", "8": "eight"}
_ORDINAL_WORDS = {"4th": "fourth", "5th": "fifth", "7th": "seventh", "8th": "eighth", "12th": "twelfth", "21st": "21"}
_SAID_SHORT = {"Street": "St", "Avenue": "Ave", "Road": "Rd", "Boulevard": "Blvd", "Square": "Sq", "Lane": "Ln"}


def spoken(name: str, chance: random.Random) -> str:
    """One of the ways in which people write a name."""
    said = name
    if chance.random() < 0.35:
        return said
    if chance.random() < 0.6:
        said = "".join(
            f" {one}" if one.isupper() and place and said[place - 1].islower() else one
            for place, one in enumerate(said)
        )
        said = said.replace("_", chance.choice(" -")).replace("-", chance.choice((" ", " ", "-", "")))
        said = said.replace("/", chance.choice((" and ", "/", " ")))
    if chance.random() < 0.5:
        said = said.replace("&", "and")
    if chance.random() < 0.3:
        for long, short in _SAID_SHORT.items():
            said = said.replace(long, short)
    if chance.random() < 0.3:
        said = " ".join(_NUMBER_WORDS.get(one.lstrip("0"), _ORDINAL_WORDS.get(one, one)) for one in said.split())
    if chance.random() < 0.25:
        said = said.replace(" Street", "").replace(" Avenue", "").replace(" Road", "")
    if chance.random() < 0.6:
        said = said.lower()
    if chance.random() < 0.08 and len(said) > 6:
        place = chance.randrange(1, len(said) - 1)
        if said[place].isalpha() and said[place + 1].isalpha():
            said = said[:place] + said[place + 1] + said[place] + said[place + 2 :]
    return said
