"""What a generated stub's methods are, for type checkers: one protocol for each way in which a call streams."""

from __future__ import annotations

from typing import Iterable, Iterator, Optional, Protocol, Sequence, Tuple, TypeVar

Request = TypeVar("Request", contravariant=True)
Response = TypeVar("Response", covariant=True)

Metadata = Sequence[Tuple[str, str]]


class ResponseStream(Protocol[Response]):
    """The messages of a streaming call, in order."""

    def __iter__(self) -> Iterator[Response]: ...

    def __next__(self) -> Response: ...

    def cancel(self) -> bool: ...


class UnaryUnary(Protocol[Request, Response]):
    """One message each way."""

    def __call__(self, request: Request, timeout: Optional[float] = None,
                 metadata: Optional[Metadata] = None) -> Response: ...


class UnaryStream(Protocol[Request, Response]):
    """One message there, many back."""

    def __call__(self, request: Request, timeout: Optional[float] = None,
                 metadata: Optional[Metadata] = None) -> ResponseStream[Response]: ...


class StreamUnary(Protocol[Request, Response]):
    """Many messages there, one back."""

    def __call__(self, requests: Iterable[Request], timeout: Optional[float] = None,
                 metadata: Optional[Metadata] = None) -> Response: ...
