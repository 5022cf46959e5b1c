"""Sealing, the master key's texts and file, and what happens with a wrong one."""

import base64
import os
import re
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moneyback.settings import Settings, with_master_key
from moneyback.vault import KEY_BYTES, KEY_FILE, MasterKeyError, Vault, own_key, read_key

KEY = bytes(range(32))
VAULT = Vault(KEY)


@given(st.text(st.characters(codec="utf-8")), st.text(st.characters(codec="utf-8"), max_size=20))
def test_what_is_sealed_can_be_opened_again(text: str, purpose: str):
    assert VAULT.open(VAULT.seal(text, purpose), purpose) == text


def test_the_same_text_is_never_sealed_alike():
    assert len({VAULT.seal("secret", "one") for _ in range(100)}) == 100


def test_nothing_of_the_text_shows():
    assert b"sk_live" not in VAULT.seal("sk_live_4eC39HqLyjWDarjtT1zdp7dc", "rail")


@given(st.data())
def test_one_changed_bit_and_it_stays_shut(data: st.DataObject):
    sealed = bytearray(VAULT.seal("secret", "rail"))
    sealed[data.draw(st.integers(0, len(sealed) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(MasterKeyError):
        VAULT.open(bytes(sealed), "rail")


@pytest.mark.parametrize("length", range(13))
def test_what_was_never_sealed_stays_shut(length: int):
    with pytest.raises(MasterKeyError):
        VAULT.open(bytes(length), "rail")


def test_another_purpose_or_another_key_opens_nothing():
    sealed = VAULT.seal("secret", "rail:one")
    with pytest.raises(MasterKeyError):
        VAULT.open(sealed, "rail:two")
    with pytest.raises(MasterKeyError):
        Vault(bytes(32)).open(sealed, "rail:one")


@pytest.mark.parametrize("length", [0, 16, 24, 31, 33, 64])
def test_a_key_has_its_length(length: int):
    with pytest.raises(MasterKeyError):
        Vault(bytes(length))
    with pytest.raises(MasterKeyError, match="MONEYBACK_MASTER_KEY"):
        read_key(base64.b64encode(bytes(length)).decode())


@pytest.mark.parametrize("text", ["", "   ", "not base64!", "é" * 44, base64.b64encode(KEY).decode()[:-1], "\0" * 44])
def test_a_key_that_is_none_is_refused_without_being_quoted(text: str):
    with pytest.raises(MasterKeyError) as raised:
        read_key(text)
    assert not text.strip() or text not in str(raised.value)


def test_a_key_may_stand_between_blanks():
    assert read_key(f"  {base64.b64encode(KEY).decode()}\n") == KEY


def test_the_key_beside_the_data_is_made_once_and_is_its_owners_alone(tmp_path: Path):
    directory = tmp_path / "deep" / "data"
    key = own_key(directory)
    assert (len(key), own_key(directory)) == (KEY_BYTES, key)
    assert stat.S_IMODE((directory / KEY_FILE).stat().st_mode) == 0o600
    assert [each.name for each in directory.iterdir()] == [KEY_FILE]
    assert own_key(tmp_path / "other") != key


def test_what_a_crash_left_behind_is_no_obstacle(tmp_path: Path):
    (tmp_path / f".{KEY_FILE}.{os.getpid()}").write_text("half a k")
    assert len(own_key(tmp_path)) == KEY_BYTES


@pytest.mark.parametrize("content", [b"", b"half a key", b"\xff\xfe\x00", base64.b64encode(bytes(16))])
def test_a_file_that_holds_no_key_is_never_written_over(tmp_path: Path, content: bytes):
    (tmp_path / KEY_FILE).write_bytes(content)
    with pytest.raises(MasterKeyError, match=re.escape(str(tmp_path / KEY_FILE))):
        own_key(tmp_path)
    assert (tmp_path / KEY_FILE).read_bytes() == content


def test_a_folder_that_cannot_be_made_is_a_sentence(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(MasterKeyError, match="cannot be read or made"):
        own_key(tmp_path / "file" / "data")


def test_of_two_processes_that_make_one_the_first_ones_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    link = os.link

    def beaten(fresh: Path, file: Path) -> None:
        file.write_bytes(base64.b64encode(KEY))
        link(fresh, file)

    monkeypatch.setattr(os, "link", beaten)
    assert own_key(tmp_path) == KEY
    assert [each.name for each in tmp_path.iterdir()] == [KEY_FILE]


def test_nobody_ever_sees_half_a_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    seen: list[bool] = []
    fsync = os.fsync

    def watched(descriptor: int) -> None:
        seen.append((tmp_path / KEY_FILE).exists())
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", watched)
    own_key(tmp_path)
    assert seen == [False, True], "it gets its name only once it is written down, and then the name is"


# --- which key a process takes ---------------------------------------------------------------------------------------


def settings(directory: Path, key: str | None = None) -> Settings:
    return Settings(data_dir=str(directory), dsn="postgresql://somewhere", master_key=key)


def test_the_key_of_the_environment_counts_and_no_file_is_made(tmp_path: Path):
    text = base64.b64encode(KEY).decode()
    for own in (True, False):
        assert with_master_key(settings(tmp_path, text), own_database=own).master_key == text
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("text", ["short", base64.b64encode(bytes(31)).decode()])
def test_a_bad_key_of_the_environment_is_refused_at_once_and_not_replaced(tmp_path: Path, text: str):
    for own in (True, False):
        with pytest.raises(MasterKeyError, match="MONEYBACK_MASTER_KEY"):
            with_master_key(settings(tmp_path, text), own_database=own)
    assert not list(tmp_path.iterdir())


def test_beside_a_database_of_its_own_a_key_is_made(tmp_path: Path):
    text = with_master_key(settings(tmp_path), own_database=True).master_key
    assert text is not None
    assert read_key(text) == own_key(tmp_path)


def test_beside_somebody_elses_database_none_is_made(tmp_path: Path):
    with pytest.raises(MasterKeyError, match="MONEYBACK_MASTER_KEY"):
        with_master_key(settings(tmp_path), own_database=False)
    assert not list(tmp_path.iterdir())


def test_beside_somebody_elses_database_one_that_is_there_is_taken(tmp_path: Path):
    key = own_key(tmp_path)
    text = with_master_key(settings(tmp_path), own_database=False).master_key
    assert text is not None
    assert read_key(text) == key
