"""Sources of kind `fetch`: their addresses are fetched once, before anything is read.

The archive stays beside the corpus, and is what is read from then on: the same addresses and
settings are not fetched again. To fetch anew, remove it.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

from llm_keras import config, console
from llm_keras.errors import UserError
from pipelines import storage
from pipelines.files import Listing, SourceFile
from pipelines.hub import FOLDER
from pipelines.sources import fetch


def fetched(source: config.Source, listing: Listing, corpus: str) -> Listing:
    """The archive of a source's addresses, in the place of the lists of them.

    Args:
        source: Of kind `fetch`.
        listing: The lists of addresses.
        corpus: The folder of the corpus.

    Raises:
        UserError: The corpus is not on this machine, or the archive cannot be written.
    """
    settings = source.fetch
    if settings is None:
        return listing
    if storage.is_remote(corpus):
        raise UserError(
            f"corpus source {source.name}: pages are fetched onto this machine; give a local"
            " --output, or fetch first and name the archive as a source of kind warc"
        )
    urls = [url for file in listing.files for url in fetch.addresses(Path(os.fsdecode(file.path)))]
    asked = json.dumps([urls, settings.model_dump(mode="json")]).encode()
    name = f"{source.name}-{hashlib.sha256(asked).hexdigest()[:16]}.warc.gz"
    path = Path(corpus) / FOLDER / name
    if not path.exists():
        console.say(f"curate: fetches {len(urls)} addresses of source {source.name}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            counts = fetch.fetch_to_warc(urls, settings, path)
        except OSError as error:
            raise UserError(f"{path}: cannot be written: {error.strerror}; free it") from None
        said = ", ".join(f"{reason} {count}" for reason, count in sorted(counts.items()))
        console.say(f"curate: source {source.name}: {said}")
    status = path.stat()
    archive = SourceFile(source.name, name, os.fsencode(path), status.st_size, status.st_mtime_ns)
    return listing._replace(files=[archive])
