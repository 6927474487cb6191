"""A link that takes its time: passes packets between two TUN devices after a delay, and loses some.

Arguments: the names of both devices, delay and jitter one way in milliseconds, and the share that is lost. Packets
stay in order: a jitter that reorders would be no Wi-Fi's. Prints "ready" when both devices are there; ends with them.
"""

import fcntl
import heapq
import os
import random
import selectors
import struct
import sys
import time

TUNSETIFF = 0x400454CA
IFF_TUN = 0x0001
IFF_NO_PI = 0x1000
QUEUE_PACKETS = 2000


def tun(name):
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TUN | IFF_NO_PI))
    return device


def main(names, delay, jitter, loss):
    devices = [tun(name) for name in names]
    chance = random.Random(1)
    waiting = []  # (when, number, device, packet)
    last = [0.0, 0.0]
    number = 0
    selector = selectors.DefaultSelector()
    for end, device in enumerate(devices):
        selector.register(device, selectors.EVENT_READ, end)
    os.write(1, b"ready\n")
    while True:
        now = time.monotonic()
        while waiting and waiting[0][0] <= now:
            _, _, device, packet = heapq.heappop(waiting)
            try:
                os.write(device, packet)
            except OSError:
                pass  # the device is down: the packet is lost
        timeout = None if not waiting else max(0.0, waiting[0][0] - time.monotonic())
        for key, _ in selector.select(timeout):
            try:
                packet = os.read(key.fd, 65536)
            except BlockingIOError:
                continue
            except OSError:
                time.sleep(0.01)  # the device is down, or moving
                continue
            if chance.random() < loss or len(waiting) >= QUEUE_PACKETS:
                continue
            other = 1 - key.data
            when = max(last[other], time.monotonic() + delay + chance.uniform(-jitter, jitter))
            last[other] = when
            number += 1
            heapq.heappush(waiting, (when, number, devices[other], packet))


if __name__ == "__main__":
    one, two, delay_ms, jitter_ms, share = sys.argv[1:]
    main([one, two], float(delay_ms) / 1000, float(jitter_ms) / 1000, float(share))
