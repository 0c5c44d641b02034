"""What is kept: whose it is, that a passphrase hides it, and that what is deleted is gone from the file."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.assistant.corrections import Corrections
from models.assistant.diary import Diary
from models.assistant.notes import Notes, fitting
from models.errors import DiaryDamaged, DiaryLocked, NotInDiary, QuestionUnfit

CHEAP = 1 << 4
SECRET = "the gate key is under the mat"


def files(tmp_path: Path) -> bytes:
    return b"".join(one.read_bytes() for one in (tmp_path / "assistant").iterdir())


def diary(tmp_path: Path, passphrase: str | None = None) -> Diary:
    return Diary(tmp_path, lambda: passphrase, CHEAP)


def test_nothing_is_written_by_looking(tmp_path: Path) -> None:
    one = diary(tmp_path)
    assert Notes(one).all() == []
    assert Notes(one).forget([1]) == 0
    assert not one.locked
    assert list(tmp_path.iterdir()) == []


def test_it_is_the_owner_s_alone(tmp_path: Path) -> None:
    one = diary(tmp_path)
    kept = Notes(one, "user:anna").remember(SECRET, 1)
    assert Notes(one, "user:bert").all() == []
    assert Notes(one, "user:bert").forget([kept.id]) == 0
    assert [note.body["text"] for note in Notes(one, "user:anna").all()] == [SECRET]
    assert (tmp_path / "assistant" / "diary.db").stat().st_mode & 0o077 == 0


def test_a_passphrase_hides_what_was_kept_before_and_what_comes_after(tmp_path: Path) -> None:
    one = diary(tmp_path)
    Notes(one).remember(SECRET, 1)
    Corrections(one).add("where is the key", "I don't know.", SECRET, "recall", 2)
    assert SECRET.encode() in files(tmp_path)
    one.lock("a long passphrase")
    assert one.locked
    Notes(one).remember(SECRET + ", still", 3)
    one.close()
    assert SECRET.encode() not in files(tmp_path)
    again = diary(tmp_path, "a long passphrase")
    assert [note.body["text"] for note in Notes(again).all()] == [SECRET, SECRET + ", still"]
    again.lock(None)
    again.close()
    assert len(Notes(diary(tmp_path)).all()) == 2


@pytest.mark.parametrize("passphrase", [None, "another passphrase"])
def test_without_the_passphrase_nothing_is_read_and_all_can_be_deleted(tmp_path: Path, passphrase: str | None) -> None:
    one = diary(tmp_path)
    Notes(one).remember(SECRET, 1)
    one.lock("a long passphrase")
    one.close()
    stranger = diary(tmp_path, passphrase)
    with pytest.raises(DiaryLocked):
        Notes(stranger).all()
    with pytest.raises(DiaryLocked):
        Notes(stranger).remember("more", 2)
    with pytest.raises(DiaryLocked):
        stranger.lock("mine")
    assert stranger.clear("note", "") == 1


def test_what_was_changed_or_moved_in_the_file_is_no_note(tmp_path: Path) -> None:
    one = diary(tmp_path)
    for text in ("one", "two"):
        Notes(one).remember(text, 1)
    one.lock("a long passphrase")
    one.close()
    with sqlite3.connect(one.path) as store:
        store.execute("UPDATE entries SET body = (SELECT body FROM entries WHERE id = 2) WHERE id = 1")
    store.close()
    with pytest.raises(DiaryDamaged):
        Notes(diary(tmp_path, "a long passphrase")).all()


def test_what_is_forgotten_is_gone_from_the_file(tmp_path: Path) -> None:
    one = diary(tmp_path)
    kept = Notes(one).remember(SECRET, 1)
    one.close()
    assert SECRET.encode() in files(tmp_path)
    one = diary(tmp_path)
    assert Notes(one).forget([kept.id]) == 1
    one.close()
    assert SECRET.encode() not in files(tmp_path)


def test_corrections_are_listed_and_deleted(tmp_path: Path) -> None:
    corrections = Corrections(diary(tmp_path))
    kept = corrections.add("how is it", "I don't know.", "  it is dense ", "none", 1)
    assert [one.body["better"] for one in corrections.all()] == ["it is dense"]
    corrections.delete(kept.id)
    assert corrections.all() == []
    with pytest.raises(NotInDiary):
        corrections.delete(kept.id)
    with pytest.raises(QuestionUnfit):
        corrections.add("how is it", "I don't know.", "\x00", "none", 1)


@given(st.text(max_size=30), st.lists(st.text(max_size=60), max_size=6))
def test_a_note_is_found_by_each_of_its_own_rare_words(topic: str, texts: list[str]) -> None:
    found = fitting(topic, texts)
    assert found == sorted(set(found))
    assert all(0 <= place < len(texts) for place in found)
    assert len(texts) in fitting("zymurgy", [*texts, "about zymurgy and such"])
