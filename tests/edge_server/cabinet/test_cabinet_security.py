"""How a controller may be spoken to, and what becomes of keys."""

from __future__ import annotations

import pytest

from edge_server.cabinet.ntcip.security import key_path, security_of, user_of
from edge_server.errors import CabinetKeysUnusable, CabinetSecurityWeak
from protocol.cabinet import Cabinet
from protocol.ids import IntersectionId

NORTH = IntersectionId("north")
KEYS = 'authentication = "swordfish-one"\nprivacy = "swordfish-two"\n'


def keys(home, text=KEYS, mode=0o600):
    path = key_path(home, NORTH)
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    path.chmod(mode)
    return path


def user(home, **described):
    cabinet = Cabinet(address="10.0.0.9", **described)
    return user_of(NORTH, cabinet, security_of(NORTH, cabinet), home)


def test_authentication_and_privacy_are_the_default(tmp_path):
    keys(tmp_path)
    found = user(tmp_path)
    assert security_of(NORTH, Cabinet(address="10.0.0.9")).level == "authPriv"
    assert (found.name, found.authentication_key, found.privacy_key) == ("kinflow", "swordfish-one", "swordfish-two")


def test_keys_are_never_shown(tmp_path):
    keys(tmp_path)
    assert "swordfish" not in repr(user(tmp_path))
    assert "swordfish" not in str(user(tmp_path))


@pytest.mark.parametrize(
    "weak",
    [{"version": "v1"}, {"version": "v2c"}, {"authentication": "none"}, {"authentication": "md5"},
     {"authentication": "sha-1"}, {"privacy": "none"}, {"privacy": "des"}],
)  # fmt: skip
def test_what_can_be_forged_is_refused_unless_forced(weak):
    with pytest.raises(CabinetSecurityWeak):
        security_of(NORTH, Cabinet(address="10.0.0.9", **weak))
    assert security_of(NORTH, Cabinet(address="10.0.0.9", insecure=True, **weak))


def test_the_community_public_is_refused_unless_forced(tmp_path):
    keys(tmp_path, 'community = "Public"\n')
    described = Cabinet(address="10.0.0.9", version="v2c", insecure=True)
    found = user_of(NORTH, described, security_of(NORTH, described), tmp_path)
    assert found.name == "Public"
    with pytest.raises(CabinetSecurityWeak):
        user_of(NORTH, Cabinet(address="10.0.0.9", version="v2c"), security_of(NORTH, described), tmp_path)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644])
def test_keys_that_others_may_read_are_refused(tmp_path, mode):
    keys(tmp_path, mode=mode)
    with pytest.raises(CabinetKeysUnusable, match="others"):
        user(tmp_path)


@pytest.mark.parametrize(
    "text",
    ['privacy = "swordfish-two"\n', 'authentication = "short"\nprivacy = "swordfish-two"\n', "swordfish = = 1", ""],
)
def test_a_key_file_that_is_none_is_named_and_not_quoted(tmp_path, text):
    path = keys(tmp_path, text)
    with pytest.raises(CabinetKeysUnusable) as caught:
        user(tmp_path)
    assert str(path) in str(caught.value)
    assert "swordfish" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_no_key_file(tmp_path):
    with pytest.raises(CabinetKeysUnusable):
        user(tmp_path)
