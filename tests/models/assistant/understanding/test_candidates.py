"""What is passed over in a large site could not have been meant."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from models.assistant.understanding.choice import Entities
from models.assistant.understanding.mentions import Finder, Mention
from models.assistant.understanding.spelling import words

WORDS = [
    "cam",
    "camera",
    "mill",
    "Mil",
    "street",
    "st",
    "harbour",
    "harbor",
    "gate",
    "way",
    "gateway",
    "north",
    "3",
    "03",
]
WORDS += [
    "third",
    "12",
    "J",
    "Oak",
    "east",
    "main",
    "of",
    "the",
    "is",
    "pi",
    "ñandú",
    "quay",
    "keu",
    "night_mode",
    "from",
]
NAMES = st.lists(st.sampled_from(WORDS), min_size=1, max_size=4).map("-".join)
LISTS = st.lists(NAMES, max_size=14).map(tuple)


class Slow(Finder):
    """Judges each name."""

    def find(self, question: str) -> list[Mention]:
        said = words(question)
        found = [mention for name in self._names for mention in self._of(name, said, question)]
        return sorted(found, key=lambda one: (-one.score, one.start - one.end, one.start, one.name))


@given(
    site=st.builds(Entities, intersections=LISTS, devices=LISTS, approaches=LISTS, settings=LISTS),
    question=st.lists(st.sampled_from([*WORDS, "camreas", "strete", "harbours", "gat", "eway", "12th"]), max_size=8),
)
def test_no_mention_is_lost(site: Entities, question: list[str]) -> None:
    asked = " ".join(question)
    common = {"main", "north", "gate", "way", "night"}.__contains__
    assert Finder(site, common).find(asked) == Slow(site, common).find(asked)


def test_many_names_of_one_word_are_told_apart_without_judging_each() -> None:
    devices = tuple(f"cam-{number:05}" for number in range(3000))
    finder = Finder(Entities(devices=devices), lambda _: False)
    judged = []
    of = finder._of
    finder._of = lambda name, said, question: judged.append(name.name) or of(name, said, question)  # type: ignore[method-assign, func-returns-value]
    [best, *_] = finder.find("is cam 2417 up?")
    assert best.name == "cam-02417"
    assert len(judged) < 10
