"""The users file: who is in it gets in, with that password only, and the file gives no password away."""

import pytest

from agent.sinks.opcua import users


@pytest.fixture
def path(tmp_path):
    return tmp_path / "users"


def test_the_right_password_and_no_other(path):
    users.add(path, "anna", "correct horse", "operator")
    assert users.verify(path, "anna", "correct horse").role == "operator"
    assert users.verify(path, "anna", "correct horse ") is None
    assert users.verify(path, "bert", "correct horse") is None
    assert users.verify(path, "", "") is None


def test_without_a_file_nobody_gets_in(path):
    assert users.verify(path, "anna", "correct horse") is None


def test_the_file_is_private_and_holds_no_password(path):
    users.add(path, "anna", "correct horse")
    users.add(path, "bert", "correct horse")
    assert path.stat().st_mode & 0o777 == 0o600
    text = path.read_text()
    assert "horse" not in text
    assert len({line.rsplit("$", 1)[1] for line in text.splitlines()}) == 2  # each has a salt of his own


def test_a_new_password_takes_the_place_of_the_old(path):
    users.add(path, "anna", "correct horse")
    users.add(path, "anna", "battery staple", "engineer")
    assert users.verify(path, "anna", "correct horse") is None
    assert users.verify(path, "anna", "battery staple").role == "engineer"


def test_a_removed_user_is_gone_and_the_others_stay(path):
    users.add(path, "anna", "correct horse")
    users.add(path, "bert", "battery staple")
    users.remove(path, "anna")
    assert set(users.read(path)) == {"bert"}
    with pytest.raises(KeyError):
        users.remove(path, "anna")


@pytest.mark.parametrize(
    ("name", "password", "role", "message"),
    [
        ("an:na", "correct horse", "viewer", "user name 'an:na'"),
        ("", "correct horse", "viewer", "user name ''"),
        ("anna", "short", "viewer", "at least 8"),
        ("anna", "correct horse", "king", "viewer, operator, engineer"),
    ],
)
def test_what_is_not_accepted_is_said(path, name, password, role, message):
    with pytest.raises(ValueError, match=message):
        users.add(path, name, password, role)
    assert not path.exists()


@pytest.mark.parametrize("line", ["anna", "anna:viewer:md5$1$1$1$00$00", "anna:king:scrypt$16384$8$1$00$00"])
def test_a_broken_line_is_named(path, line):
    path.write_text(f"# users\n{line}\n")
    with pytest.raises(ValueError, match="users:2: expected name:role"):
        users.verify(path, "anna", "x")
