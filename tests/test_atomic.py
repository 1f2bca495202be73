"""Outputs appear whole or not at all, and nothing is replaced unasked."""

import os
import stat

import pytest

from nfcodec import atomic
from nfcodec.atomic import check_output, replacing, write_atomic
from nfcodec.errors import SignalError, UsageError


def test_writing_a_file(tmp_path):
    path = tmp_path / "x.nfld"
    write_atomic(path, b"old")
    with pytest.raises(UsageError, match="--overwrite"):
        write_atomic(path, b"new")
    assert path.read_bytes() == b"old"
    write_atomic(path, b"new", overwrite=True)
    assert path.read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["x.nfld"]


def test_libraries_get_a_name_with_the_suffixes(tmp_path):
    for name in ("a.nii.gz", "é" * 120 + ".nii.gz"):  # the second one leaves no room for a longer name
        with replacing(tmp_path / name) as temporary:
            assert temporary.parent == tmp_path and temporary.name.endswith(".nii.gz") and temporary.name != name
            temporary.write_bytes(b"data")
        assert (tmp_path / name).read_bytes() == b"data"
    assert len(os.listdir(tmp_path)) == 2


def test_places_that_cannot_be_written(tmp_path, monkeypatch):
    for write in (check_output, lambda path, overwrite: write_atomic(path, b"", overwrite)):
        with pytest.raises(UsageError, match="does not exist"):
            write(tmp_path / "no" / "x.nfld", True)
        with pytest.raises(UsageError, match="folder or device"):
            write(tmp_path, True)
    monkeypatch.setattr(atomic.os, "access", lambda path, mode: False)
    with pytest.raises(UsageError, match="may not be written"):
        check_output(tmp_path / "x.nfld")


def test_checking_writes_nothing(tmp_path):
    path = tmp_path / "x.nfld"
    assert check_output(path) == path and not os.listdir(tmp_path)
    path.write_bytes(b"old")
    assert check_output(path, overwrite=True) == path and path.read_bytes() == b"old"
    with pytest.raises(UsageError, match="--overwrite"):
        check_output(path)


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError("disk full"), RuntimeError("two\nlines"), SignalError("mine")])
def test_nothing_is_left_after_an_error_of_the_block(tmp_path, error):
    path = tmp_path / "x.nfld"
    path.write_bytes(b"old")
    expected = type(error) if isinstance(error, SignalError) else KeyboardInterrupt if error is KeyboardInterrupt else UsageError
    with pytest.raises(expected) as caught:
        with replacing(path, overwrite=True) as temporary:
            temporary.write_bytes(b"half")
            raise error
    assert "\n" not in str(caught.value)
    assert path.read_bytes() == b"old" and os.listdir(tmp_path) == ["x.nfld"]


def test_a_block_that_writes_nothing_is_an_error(tmp_path):
    with pytest.raises(UsageError, match="No such file"):
        with replacing(tmp_path / "x.nfld"):
            pass
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError(28, "No space left on device")])
@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch, error, call):
    path = tmp_path / "x.nfld"
    path.write_bytes(b"old")

    def fail(*_):
        raise error

    monkeypatch.setattr(atomic.os, call, fail)
    with pytest.raises(UsageError if isinstance(error, OSError) else KeyboardInterrupt):
        write_atomic(path, b"new", overwrite=True)
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["x.nfld"]


@pytest.mark.parametrize("has_links", [True, False])
def test_a_file_that_appears_meanwhile_is_kept(tmp_path, monkeypatch, has_links):
    path = tmp_path / "x.nfld"
    if not has_links:
        monkeypatch.setattr(atomic.os, "link", no_links)
    with pytest.raises(UsageError, match="--overwrite"):
        with replacing(path) as temporary:
            temporary.write_bytes(b"mine")
            path.write_bytes(b"another's")
    assert path.read_bytes() == b"another's"
    assert os.listdir(tmp_path) == ["x.nfld"]


def no_links(*_):
    raise PermissionError(1, "Operation not permitted")


def test_file_systems_without_hard_links(tmp_path, monkeypatch):
    monkeypatch.setattr(atomic.os, "link", no_links)
    write_atomic(tmp_path / "x.nfld", b"data")
    assert (tmp_path / "x.nfld").read_bytes() == b"data"


def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "real").write_bytes(b"old")
    (tmp_path / "link.nfld").symlink_to("there/real")
    with replacing(tmp_path / "link.nfld", overwrite=True) as temporary:
        # beside the file, not the link, which may be on another file system; but with the link's suffix
        assert temporary.parent == tmp_path / "there" and temporary.suffix == ".nfld"
        temporary.write_bytes(b"new")
    assert (tmp_path / "link.nfld").is_symlink() and (tmp_path / "there" / "real").read_bytes() == b"new"


def test_a_replaced_file_keeps_its_mode(tmp_path):
    path = tmp_path / "x.nfld"
    path.write_bytes(b"old")
    path.chmod(0o640)
    write_atomic(path, b"new", overwrite=True)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
