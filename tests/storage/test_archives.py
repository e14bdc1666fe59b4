"""Arrays are read only if the file can hold what it says."""

import io
import os
import pickle
import re
import struct
import zipfile

import numpy as np
import pytest

from splineviz.storage import idx, pickles
from splineviz.storage.archives import check_growth, read_npy, read_npz


def npy(header: str, content: bytes = b"") -> bytes:
    header = header.ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() + content


def archive(path, compression=zipfile.ZIP_STORED, **members: bytes):
    with zipfile.ZipFile(path, "w", compression) as out:
        for name, content in members.items():
            out.writestr(f"{name}.npy", content)
    return path


@pytest.mark.parametrize("write", [np.savez, np.savez_compressed])
def test_every_array_comes_back(tmp_path, write):
    arrays = {
        "a": np.arange(6.0).reshape(2, 3),
        "f": np.asfortranarray(np.arange(6).reshape(2, 3)),
        "text": np.array("words"),
        "none": np.zeros((0, 4), np.int32),
        "scalar": np.array(3),
    }
    write(tmp_path / "all.npz", **arrays)
    found = read_npz(tmp_path / "all.npz")
    assert found.keys() == arrays.keys()
    for name, array in arrays.items():
        assert np.array_equal(found[name], array) and found[name].dtype == array.dtype
        np.save(tmp_path / "one.npy", array)
        assert np.array_equal(read_npy(tmp_path / "one.npy"), array)
    assert found["a"].flags.writeable


@pytest.mark.parametrize(
    "shape", ["(1000000000000,)", "(2, 4611686018427387904)", "(3037000500, 3037000500)", "(-1,)", "(-5, -5)"]
)
def test_a_forged_header_allocates_nothing(tmp_path, shape):
    forged = npy(f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}", bytes(80))
    (tmp_path / "one.npy").write_bytes(forged)
    with pytest.raises(ValueError, match="header that claims"):
        read_npy(tmp_path / "one.npy")
    with pytest.raises(ValueError, match="header that claims"):
        read_npz(archive(tmp_path / "all.npz", x=forged))


def test_no_pickle_is_read(tmp_path):
    content = io.BytesIO()
    np.lib.format.write_array(content, np.array([print], dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match="Python objects, which would run code"):
        read_npz(archive(tmp_path / "all.npz", x=content.getvalue()))
    (tmp_path / "one.npy").write_bytes(pickle.dumps(print))
    with pytest.raises(ValueError):
        read_npy(tmp_path / "one.npy")


def test_an_archive_that_grows_beyond_proportion_is_refused(tmp_path):
    size = 300 << 20
    with zipfile.ZipFile(tmp_path / "bomb.npz", "w", zipfile.ZIP_DEFLATED) as out, out.open("x.npy", "w") as member:
        member.write(npy(f"{{'descr': '|u1', 'fortran_order': False, 'shape': ({size},), }}"))
        for _ in range(300):
            member.write(bytes(1 << 20))
    with pytest.raises(ValueError, match="would grow to 3145"):
        read_npz(tmp_path / "bomb.npz")
    check_growth(250 << 20, 1000)
    check_growth(99 * (1 << 30), 1 << 30)


def test_other_files_are_refused(tmp_path):
    path = tmp_path / "x.npz"
    for content in (b"", b"no archive", b"PK\x03\x04", npy("{}")):
        path.write_bytes(content)
        with pytest.raises(ValueError):
            read_npz(path)
    with zipfile.ZipFile(path, "w") as out:
        out.writestr("../escaped.txt", b"")
    with pytest.raises(ValueError, match="no array"):
        read_npz(path)
    with pytest.raises(OSError):
        read_npz(tmp_path / "none.npz")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="a pipe with a name")
@pytest.mark.parametrize("read", [read_npz, read_npy, idx.read, pickles.read])
def test_a_pipe_is_refused_and_not_waited_for(tmp_path, read):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ValueError, match="a folder, a pipe or a device"):
        read(tmp_path / "pipe")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_that_an_archive_has_twice_is_refused(tmp_path):
    # One reader would take the first, another the last.
    content = io.BytesIO()
    np.save(content, np.ones(2))
    with zipfile.ZipFile(tmp_path / "twice.npz", "w") as out:
        for _ in range(2):
            out.writestr("x.npy", content.getvalue())
    with pytest.raises(ValueError, match=re.escape("two members 'x.npy'")):
        read_npz(tmp_path / "twice.npz")


@pytest.mark.parametrize("read, save, name", [(read_npz, np.savez, "x.npz"), (read_npy, np.save, "x.npy")])
def test_a_header_that_two_threads_parse_at_once_is_read_again(tmp_path, monkeypatch, read, save, name):
    # What Python 3.11 raises where two threads build trees at once, about headers that are right.
    parse, refused = np.lib.format.read_array_header_1_0, []

    def once_in_three(stream):
        found = parse(stream)
        refused.append(len(refused) % 3 != 2)
        if refused[-1]:
            raise SystemError("AST constructor recursion depth mismatch (before=39, after=36)")
        return found

    monkeypatch.setattr(np.lib.format, "read_array_header_1_0", once_in_three)
    save(tmp_path / name, np.arange(6.0).reshape(2, 3))
    found = read(tmp_path / name)
    assert np.array_equal(found["arr_0"] if name == "x.npz" else found, np.arange(6.0).reshape(2, 3))
    assert refused == [True, True, False]


def test_a_header_that_is_refused_for_good_says_why(tmp_path, monkeypatch):
    def never(stream):
        raise SystemError("always")

    monkeypatch.setattr(np.lib.format, "read_array_header_1_0", never)
    np.save(tmp_path / "x.npy", np.ones(2))
    with pytest.raises(SystemError, match="always"):
        read_npy(tmp_path / "x.npy")
