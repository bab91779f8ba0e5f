"""Request bodies: received within limits of size and time, and unpacked."""

from __future__ import annotations

import asyncio
import zlib

from starlette.requests import Request

from serving.errors import Code, ServingError, invalid
from serving.settings import Settings

#: A body over the limit is read on and dropped up to this many times the limit, because a client
#: that is cut off while it sends sees a broken connection instead of the answer.
_DROPPED_LIMITS = 16
_GZIP = 16 + zlib.MAX_WBITS


async def receive(request: Request, settings: Settings) -> bytes:
    """The body as sent.

    Raises:
        ServingError: Too large (413) or too slow (408).
    """
    try:
        async with asyncio.timeout(settings.body_seconds):
            return await _receive(request, settings.body_bytes)
    except TimeoutError:
        raise ServingError(
            Code.DEADLINE_EXCEEDED,
            f"the request body did not arrive within {settings.body_seconds:g} seconds",
            http_status=408,
        ) from None


async def _receive(request: Request, limit: int) -> bytes:
    chunks, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size <= limit:
            chunks.append(chunk)
        else:
            chunks.clear()
        if size > _DROPPED_LIMITS * limit:
            break
    if size > limit:
        raise _too_large(limit)
    return b"".join(chunks)


def unpack(body: bytes, encoding: str, limit: int) -> bytes:
    """The body without its `Content-Encoding`; TensorFlow Serving knows gzip only.

    Raises:
        ServingError: Not gzip, or larger than `limit` once unpacked (413).
    """
    if "gzip" not in encoding.lower():
        return body
    unpacker = zlib.decompressobj(_GZIP)
    try:
        unpacked = unpacker.decompress(body, limit + 1)
    except zlib.error:
        raise invalid("the request body is not valid gzip") from None
    if len(unpacked) > limit:
        raise _too_large(limit)
    if not unpacker.eof:
        raise invalid("the request body is not valid gzip: it ends too early")
    return unpacked


def _too_large(limit: int) -> ServingError:
    return ServingError(
        Code.RESOURCE_EXHAUSTED, f"the request body exceeds {limit} bytes", http_status=413
    )
