#!/usr/bin/python3
"""A long-lived session with a host's own address, as ssh has one.

    host_session.py serve               answers every line on port 22 of every address
    host_session.py talk HOST [--seconds S]
                                        sends a line every 50 ms over one connection; at the end
                                        {"answered", "lost", "slowest_ms"} and exit status 0 if
                                        every line came back (without --seconds: until SIGTERM)
"""
import argparse
import asyncio
import json
import signal
import sys
import time

PORT = 22
LINE_EVERY_S = 0.05
ANSWER_WITHIN_S = 3


async def answer(reader, writer):
    writer.write(b"SSH-2.0-not-really\r\n")
    while line := await reader.readline():
        writer.write(line)
        await writer.drain()
    writer.close()


async def serve():
    server = await asyncio.start_server(answer, None, PORT)
    print("ready", flush=True)
    await server.serve_forever()


async def talk(host, seconds):
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    reader, writer = await asyncio.wait_for(asyncio.open_connection(host, PORT), ANSWER_WITHIN_S)
    await asyncio.wait_for(reader.readline(), ANSWER_WITHIN_S)
    answered = lost = 0
    slowest = 0.0
    end = time.monotonic() + seconds if seconds else None
    while not stopped.is_set() and (end is None or time.monotonic() < end):
        line, sent = f"line {answered}\n".encode(), time.monotonic()
        writer.write(line)
        try:
            if await asyncio.wait_for(reader.readline(), ANSWER_WITHIN_S) != line:
                raise ConnectionError
        except (asyncio.TimeoutError, OSError):
            lost += 1
            break
        answered += 1
        slowest = max(slowest, time.monotonic() - sent)
        await asyncio.sleep(LINE_EVERY_S)
    print(json.dumps({"answered": answered, "lost": lost, "slowest_ms": round(slowest * 1000, 1)}),
          flush=True)
    return lost == 0 and answered > 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("role", choices=("serve", "talk"))
    parser.add_argument("host", nargs="?")
    parser.add_argument("--seconds", type=float)
    options = parser.parse_args()
    if options.role == "serve":
        asyncio.run(serve())
        return 0
    try:
        return 0 if asyncio.run(talk(options.host, options.seconds)) else 1
    except (OSError, asyncio.TimeoutError) as error:
        print(json.dumps({"answered": 0, "lost": 1, "error": repr(error)}))
        return 1


if __name__ == "__main__":
    sys.exit(main())
