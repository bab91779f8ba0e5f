"""Archives: members that would leave them, and bombs."""

import io
import stat
import struct
import tarfile
import zipfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.sources import Unreadable, archives, compressed
from pipelines.sources.archives import Member

NAMES = [
    ("../evil", "a path that leaves the archive"),
    ("a/../../evil", "a path that leaves the archive"),
    ("a\\..\\evil", "a path that leaves the archive"),
    ("/etc/evil", "an absolute path"),
    ("\\evil", "an absolute path"),
    ("C:/evil", "an absolute path"),
    (".", "a member without a name"),
]


def zip_of(path, files, infos=()):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
        for info, content in infos:
            archive.writestr(info, content)
    return path


def unix_member(name, mode):
    info = zipfile.ZipInfo(name)
    info.create_system, info.external_attr = 3, mode << 16
    return info


class TestZip:
    def test_members_in_order(self, tmp_path):
        path = zip_of(tmp_path / "a.zip", {"a": b"1", "./b//c": b"2", "d/": b"", "é": b""})
        assert list(archives.members(path)) == [
            Member("a", b"1"),
            Member("b/c", b"2"),
            Member("é", b""),
        ]

    @pytest.mark.parametrize(("name", "error"), NAMES)
    def test_names_that_leave_it_are_refused(self, tmp_path, name, error):
        path = zip_of(tmp_path / "a.zip", {"good": b"1", name: b"2", "last": b"3"})
        good, refused, last = archives.members(path)
        assert (good, last) == (Member("good", b"1"), Member("last", b"3"))
        assert refused.error.startswith(error)
        assert refused.name.replace("\\", "/") == name.replace("\\", "/")

    @pytest.mark.parametrize(
        ("mode", "error"),
        [(stat.S_IFLNK, "a link"), (stat.S_IFCHR, "a device"), (stat.S_IFIFO, "a device")],
    )
    def test_links_and_devices_are_refused(self, tmp_path, mode, error):
        infos = [(unix_member("evil", mode | 0o777), b"/etc/passwd")]
        path = zip_of(tmp_path / "a.zip", {"good": b"1"}, infos)
        _, refused = archives.members(path)
        assert refused.error.startswith(error)
        assert refused.name == "evil"

    def test_members_over_the_cap_whatever_they_say(self, tmp_path):
        path = zip_of(tmp_path / "a.zip", {"large": b"x" * 1001, "small": b"x" * 1000})
        large, small = archives.members(path, maximum_bytes=1000)
        assert large == Unreadable("larger than 1000 bytes", name="large")
        assert len(small.data) == 1000
        data = bytearray(path.read_bytes())
        entry = data.index(b"PK\x01\x02")
        struct.pack_into("<I", data, entry + 24, 10)  # the size that the list states
        path.write_bytes(bytes(data))
        large, _ = archives.members(path, maximum_bytes=1000)
        assert isinstance(large, Unreadable) or len(large.data) <= 1000

    def test_a_bomb_of_many_members_stops(self, tmp_path, monkeypatch):
        monkeypatch.setattr(compressed, "EXPANSION_ALWAYS_ALLOWED", 2**20)
        path = zip_of(tmp_path / "a.zip", {str(i): bytes(2**20) for i in range(50)})
        found = list(archives.members(path))
        assert "decompression bomb" in found[-1].error
        assert len(found) < 20

    def test_encrypted_members_are_named(self, tmp_path):
        path = zip_of(tmp_path / "a.zip", {"a": b"1"})
        data = bytearray(path.read_bytes())
        for magic, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
            data[data.index(magic) + offset] |= 1
        path.write_bytes(bytes(data))
        assert list(archives.members(path)) == [
            Unreadable("encrypted: its password is not known", name="a")
        ]

    def test_a_flipped_bit_costs_its_member(self, tmp_path):
        path = zip_of(tmp_path / "a.zip", {"a": b"first " * 50, "b": b"second"})
        data = bytearray(path.read_bytes())
        data[40] ^= 4
        path.write_bytes(bytes(data))
        bad, good = archives.members(path)
        assert bad == Unreadable("damaged, or packed in a way that is not read", name="a")
        assert good == Member("b", b"second")

    @settings(max_examples=100)
    @given(st.data())
    def test_any_damage_is_told_or_harmless(self, tmp_path_factory, data):
        path = zip_of(tmp_path_factory.mktemp("zip") / "a.zip", {"a": b"12" * 9, "b/c": b"3"})
        content = bytearray(path.read_bytes())
        for _ in range(data.draw(st.integers(1, 4))):
            content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
        path.write_bytes(bytes(content[: data.draw(st.integers(0, len(content)))]))
        for each in archives.members(path):
            assert isinstance(each, Unreadable) or each.data in (b"12" * 9, b"3", b"")


class TestTar:
    @staticmethod
    def tar_of(path, infos):
        with tarfile.open(path, "w") as archive:
            for info, content in infos:
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
        return path

    @pytest.mark.parametrize(("name", "error"), NAMES)
    def test_names_that_leave_it_are_refused(self, tmp_path, name, error):
        infos = [(tarfile.TarInfo(each), b"1") for each in ("good", name, "last")]
        good, refused, last = archives.members(self.tar_of(tmp_path / "a.tar", infos))
        assert (good, last) == (Member("good", b"1"), Member("last", b"1"))
        assert refused.error.startswith(error)

    @pytest.mark.parametrize(
        "format_", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]
    )
    def test_every_format_and_long_names(self, tmp_path, format_):
        name = "/".join(["folder"] * 20 + ["file"])
        with tarfile.open(tmp_path / "a.tar", "w", format=format_) as archive:
            info = tarfile.TarInfo(name)
            info.size = 3
            archive.addfile(info, io.BytesIO(b"abc"))
        assert list(archives.members(tmp_path / "a.tar")) == [Member(name, b"abc")]

    def test_control_characters_in_names_are_written_out(self, tmp_path):
        path = self.tar_of(tmp_path / "a.tar", [(tarfile.TarInfo("a\x1b[31m\nb"), b"1")])
        assert list(archives.members(path)) == [Member("a\\x1b[31m\\x0ab", b"1")]

    def test_a_name_that_is_no_utf_8(self, tmp_path):
        path = self.tar_of(tmp_path / "a.tar", [(tarfile.TarInfo("a\udcffb"), b"1")])
        (found,) = archives.members(path)
        assert found.name.encode()
        assert found.data == b"1"

    def test_many_members_take_little_memory(self, tmp_path):
        infos = [(tarfile.TarInfo(f"{i}"), b"x") for i in range(3_000)]
        path = self.tar_of(tmp_path / "a.tar", infos)
        assert sum(isinstance(each, Member) for each in archives.members(path)) == 3_000

    @settings(max_examples=100)
    @given(st.data())
    def test_any_damage_is_told_or_harmless(self, tmp_path_factory, data):
        folder = tmp_path_factory.mktemp("tar")
        infos = [(tarfile.TarInfo("a"), b"12" * 9), (tarfile.TarInfo("b/c"), b"3")]
        path = self.tar_of(folder / "a.tar", infos)
        content = bytearray(path.read_bytes()[:3072])
        for _ in range(data.draw(st.integers(1, 4))):
            content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
        path.write_bytes(bytes(content[: data.draw(st.integers(0, len(content)))]))
        for each in archives.members(path):
            assert isinstance(each, Unreadable | Member)

    def test_one_cut_between_members_is_told(self, tmp_path):
        """`tarfile` itself takes it for whole."""
        infos = [(tarfile.TarInfo(str(i)), b"x") for i in range(3)]
        path = self.tar_of(tmp_path / "a.tar", infos)
        path.write_bytes(path.read_bytes()[:2048])
        with tarfile.open(path) as archive:
            assert archive.getnames() == ["0", "1"]
        *found, last = archives.members(path)
        assert [each.name for each in found] == ["0", "1"]
        assert last == Unreadable("not a whole tar archive: damaged or cut short")
