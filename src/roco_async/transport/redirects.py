"""Where redirects lead a request (RFC 9110 §15.4), and what a failure there says of the host that was asked first."""

from __future__ import annotations

from yarl import URL

from ..errors import Refused, TemporaryError, TransferError


class Way:
    """The way of one request: who was asked, who is asked now.

    Args:
        url: where it begins; its path and query are sent as they are.

    Raises:
        Refused: it is no URL.

    Example:
        >>> way = Way("http://mirror.example/a.jpg")
        >>> way.go_on("https://store.example/a.jpg")
        >>> str(way.target), way.crossed
        ('https://store.example/a.jpg', True)
    """

    __slots__ = ("_first", "_is_away", "crossed", "target", "url")

    def __init__(self, url: str) -> None:
        self.url = url
        try:
            self._first = self.target = _address(url)
        except ValueError as error:
            raise Refused(f"no usable URL: {error}", operation="GET", url=url) from error
        self._is_away = False
        self.crossed = False
        """Whether it has left the first origin (RFC 6454 §4): what is meant for that one is not sent any more."""

    def go_on(self, location: str) -> None:
        """Follow a redirect that stays within http and https.

        Raises:
            Refused: it leads elsewhere, or from https to http.
        """
        try:
            moved = self.target.join(_address(location))
        except ValueError as error:
            raise Refused(f"a redirect to {location!r}", operation="GET", url=self.url) from error
        downgrade = self.target.scheme == "https" and moved.scheme != "https"
        if not location or moved.scheme not in ("http", "https") or not moved.host or downgrade:
            raise Refused(f"a redirect to {location!r} is not followed", operation="GET", url=self.url)
        self.target = moved
        self.crossed = self.crossed or _origin(moved) != _origin(self._first)
        self._is_away = self.crossed and not self._is_upgrade()

    def _is_upgrade(self) -> bool:
        """Whether it only went over to TLS, on the usual ports: then the same host is meant."""
        (scheme, host, port), now = _origin(self._first), _origin(self.target)
        return (scheme, port) == ("http", 80) and now == ("https", host, 443)

    def clear(self, error: TransferError) -> None:
        """Let an error that came after a redirect to another host say so: the first one has answered."""
        if self._is_away and isinstance(error, TemporaryError):
            error.answered = error.elsewhere = True


def _origin(url: URL) -> tuple[str, str | None, int | None]:
    return url.scheme, url.raw_host, url.port


def _address(url: str) -> URL:
    """Return a URL whose path and query stay as they are, and whose host is as DNS knows it (RFC 5890 §2.3.2.1)."""
    address = URL(url, encoded=True)
    host = address.raw_host
    return address if host is None or host.isascii() else address.with_host(host)
