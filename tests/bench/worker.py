"""A worker on Python: the Viam Python SDK, told what to do as the others are (see subject.ts)."""

import asyncio
import json
import os
import resource
import sys
import time

from viam import logging
from viam.rpc.dial import DialOptions, dial

from viam_dial.probe.v1.probe_grpc import ProbeServiceStub
from viam_dial.probe.v1.probe_pb2 import DownloadRequest, Payload


# The SDK's engine writes its log to standard output, in the middle of lines of ours.
answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)


async def opened(path: str, target: dict):
    options = DialOptions()
    options.insecure = True
    options.disable_webrtc = path == "direct"
    options.initial_connection_attempts = 1
    return await dial(target["address"], options)


async def unary(probe: ProbeServiceStub, size: int, calls: int, in_flight: int) -> dict:
    payload = Payload(data=bytes(size))
    latencies = []
    left = calls

    async def caller() -> None:
        nonlocal left
        while left > 0:
            left -= 1
            start = time.perf_counter()
            await probe.Echo(payload)
            latencies.append(time.perf_counter() - start)

    cpu = time.process_time()
    began = time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(in_flight)))
    elapsed = time.perf_counter() - began
    cpu = time.process_time() - cpu
    latencies.sort()
    return {
        "p50": latencies[calls // 2] * 1e6,
        "p99": latencies[int(calls * 0.99)] * 1e6,
        "rate": calls / elapsed,
        "cpu": cpu / calls * 1e6,
        "rss": memory()["rss"],
    }


async def stream(probe: ProbeServiceStub, kind: str, size: int, count: int) -> dict:
    payload = Payload(data=bytes(size))
    start = time.perf_counter()
    if kind == "download":
        async with probe.Download.open() as call:
            await call.send_message(DownloadRequest(size=size, count=count), end=True)
            while await call.recv_message() is not None:
                pass
    elif kind == "upload":
        async with probe.Upload.open() as call:
            for number in range(count):
                await call.send_message(payload, end=number == count - 1)
            await call.recv_message()
    else:
        async with probe.Exchange.open() as call:

            async def send() -> None:
                for number in range(count):
                    await call.send_message(payload, end=number == count - 1)

            async def receive() -> None:
                while await call.recv_message() is not None:
                    pass

            await asyncio.gather(send(), receive())
    seconds = time.perf_counter() - start
    return {"mbps": size * count / seconds / 1e6, "messages": count / seconds, "seconds": seconds}


def memory() -> dict:
    with open("/proc/self/statm") as statm:
        pages = int(statm.read().split()[1])
    return {"rss": pages * resource.getpagesize() / 1e6}


async def dials(path: str, target: dict, count: int) -> dict:
    times, reasons = [], set()
    for _ in range(count):
        start = time.perf_counter()
        try:
            connection = await opened(path, target)
            times.append((time.perf_counter() - start) * 1e3)
            connection.close()
        except Exception as error:  # noqa: BLE001: a failed dial is a figure
            reasons.add(str(error))
    return {"times": times, "failures": count - len(times), "reasons": sorted(reasons)[:3]}


async def main(path: str) -> None:
    connection, probe = None, None
    lines = asyncio.StreamReader(limit=1 << 24)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    while line := await lines.readline():
        command = json.loads(line)
        op = command["op"]
        answer = {"ok": True}
        try:
            if op == "open":
                connection = await opened(path, command["target"])
                probe = ProbeServiceStub(connection.channel)
            elif op == "answer":
                began = time.perf_counter()
                connection = await opened(path, command["target"])
                probe = ProbeServiceStub(connection.channel)
                dialed = time.perf_counter()
                await probe.Echo(Payload(data=bytes(64)))
                times = {"dial": dialed - began, "answer": time.perf_counter() - began}
                answer["figures"] = {name: seconds * 1e3 for name, seconds in times.items()}
            elif op == "unary":
                answer["figures"] = await unary(probe, command["size"], command["calls"], command["inFlight"])
            elif op == "stream":
                answer["figures"] = await stream(probe, command["kind"], command["size"], command["count"])
            elif op == "dial":
                answer |= await dials(path, command["target"], command["count"])
            elif op == "memory":
                answer["figures"] = memory()
            elif op == "exit":
                if connection is not None:
                    connection.close()
            else:
                answer["missing"] = True
        except Exception as error:  # noqa: BLE001: the orchestrator reports it
            answer = {"ok": False, "error": f"{type(error).__name__}: {error}"}
        answers.write(f"{json.dumps(answer)}\n")
        answers.flush()
        if op == "exit":
            break


if __name__ == "__main__":
    logging.silence()
    asyncio.run(main(sys.argv[1]))
