"""A network with a round trip of so many ms, for kernels with and without netem: two TUN devices and a program between.

    with Delayed(80) as far:                               # this process is at the server's end now
        with Nginx(...) as server:                         # started here, so it is there too
            run([...], prefix=far.prefix)                  # a client at the other end

Each end is a network namespace of its own; the machine's is not touched, and all of it is gone with the processes. The
client has no loopback: 127.0.0.1 is the server, so that its URLs and certificates hold from both ends. Round trips are
true ones: handshakes pay them, and windows grow from ten packets. Packets of 1500 bytes pass in bunches of up to 64 kB,
as a network card's offload hands them up; without that the program in between would take both cores. The server has
cubic and forgets what it learnt of a path with its connection, so that no run prepares the next one's way.

Needs root, `ip` and `nsenter`.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import select
import statistics
import struct
import subprocess
import sys
import time
from collections import deque
from pathlib import Path
from typing import Final, Self

_NEAR, _FAR = "198.18.0.1", "198.18.0.2"  # of the range that is set aside for benchmarks
_CLONE_NEWNET: Final = 0x40000000
_TUNSETIFF, _TUNSETOFFLOAD = 0x400454CA, 0x400454D0
_IFF_TUN, _IFF_NO_PI, _IFF_VNET_HDR = 0x1, 0x1000, 0x4000
_OFFLOADS: Final = 0x1 | 0x2  # checksums and bunches of TCP over IPv4
_LONGEST: Final = 1 << 17
_AT_ONCE: Final = 64  # packets taken from one device before those that are due go out
_CONNECT: Final = """
import socket, sys, time
for _ in range(5):
    began = time.perf_counter()
    socket.create_connection(("127.0.0.1", int(sys.argv[1]))).close()
    print(time.perf_counter() - began)
"""
_libc = ctypes.CDLL(None, use_errno=True)


class Delayed:
    """Moves this thread, and what it starts from now on, to the server's end; `prefix` starts a command at the other.

    Args:
        ms: the round trip.

    Raises:
        OSError: not root, or a kernel without TUN devices.
    """

    def __init__(self, ms: float) -> None:
        self.ms = ms

    @property
    def prefix(self) -> list[str]:
        return ["nsenter", f"--net=/proc/{self._forwarder.pid}/ns/net", "--"]

    def __enter__(self) -> Self:
        self._home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        _enter_new_network()
        _ip("link", "set", "lo", "up")
        Path("/proc/sys/net/ipv4/tcp_no_metrics_save").write_text("1")
        command = [sys.executable, "-m", "benchmarks.delay", str(self.ms)]
        self._forwarder = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self._forwarder.stdout is not None
        if not self._forwarder.stdout.readline():
            self.__exit__()
            raise OSError("the program between the two networks did not start")
        return self

    def __exit__(self, *_: object) -> None:
        self._forwarder.communicate()  # the end of its input is its end
        _check(_libc.setns(self._home, _CLONE_NEWNET))
        os.close(self._home)

    def round_trip(self, port: int) -> float:
        """Return the ms that connecting to a server's port takes, the median of five."""
        command = [*self.prefix, sys.executable, "-c", _CONNECT, str(port)]
        seconds = subprocess.run(command, capture_output=True, check=True, text=True).stdout.split()
        return statistics.median(map(float, seconds)) * 1000


def _forward(devices: tuple[int, int], delay: float) -> None:
    """Carry packets both ways, each `delay` seconds late, until standard input ends."""
    near, far = devices
    waiting: dict[int, deque[tuple[float, bytes]]] = {near: deque(), far: deque()}
    across = {near: far, far: near}
    while True:
        due = min((packets[0][0] for packets in waiting.values() if packets), default=None)
        patience = None if due is None else max(0.0, due - time.monotonic())
        readable, _, _ = select.select([0, near, far], [], [], patience)
        if 0 in readable:
            return
        for device in readable:
            queue, now = waiting[device], time.monotonic()
            try:
                for _ in range(_AT_ONCE):
                    queue.append((now + delay, os.read(device, _LONGEST)))
            except BlockingIOError:
                pass
        now = time.monotonic()
        for device, queue in waiting.items():
            while queue and queue[0][0] <= now:
                os.write(across[device], queue.popleft()[1])


def _device(name: str, address: str, peer: str) -> int:
    """Make a TUN device in this process's network, and return its descriptor."""
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    flags = _IFF_TUN | _IFF_NO_PI | _IFF_VNET_HDR
    fcntl.ioctl(device, _TUNSETIFF, struct.pack("16sH22x", name.encode(), flags))
    fcntl.ioctl(device, _TUNSETOFFLOAD, _OFFLOADS)
    _ip("address", "add", address, "peer", peer, "dev", name)
    _ip("link", "set", name, "up", "mtu", "1500", "txqueuelen", "50000")
    Path(f"/proc/sys/net/ipv4/conf/{name}/route_localnet").write_text("1")
    return device


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)


def _enter_new_network() -> None:
    _check(_libc.unshare(_CLONE_NEWNET))


def _check(result: int) -> None:
    if result:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def main() -> None:
    """Stand between the network that this process begins in and a new one."""
    near = _device("near", _NEAR, _FAR)
    _ip("route", "replace", _FAR, "dev", "near", "src", _NEAR, "congctl", "cubic")
    _enter_new_network()
    far = _device("far", _FAR, _NEAR)
    _ip("route", "add", "127.0.0.1", "dev", "far", "src", _FAR)
    os.nice(-10)  # its delay is to be the network's, however busy the cores are
    print("ready", flush=True)
    _forward((near, far), float(sys.argv[1]) / 2000)


if __name__ == "__main__":
    main()
