"""Stands for llama-server where none is built: answers `/v1` on the port that it is given, a token every few ms, and
counts words. Run as a program."""

from __future__ import annotations

import asyncio
import json
import sys


async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    head = await reader.readuntil(b"\r\n\r\n")
    size = next((int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0)
    asked = json.loads(await reader.readexactly(size) or b"{}")
    if head.startswith(b"GET"):
        await whole(writer, {"object": "list", "data": [{"id": "stand-in"}]})
        return
    usage = {"prompt_tokens": len(asked["prompt"].split()), "completion_tokens": asked["max_tokens"]}
    if not asked.get("stream"):
        await whole(writer, {"choices": [{"text": "a", "finish_reason": "length"}], "usage": usage})
        return
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
    for _ in range(asked["max_tokens"]):
        await asyncio.sleep(0.002)
        writer.write(event({"choices": [{"text": "a", "finish_reason": None}]}))
    writer.write(event({"choices": [{"text": "", "finish_reason": "length"}]}))
    writer.write(event({"choices": [], "usage": usage}) + b"data: [DONE]\n\n")
    await writer.drain()
    writer.close()


async def whole(writer: asyncio.StreamWriter, answer: object) -> None:
    body = json.dumps(answer).encode()
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    await writer.drain()
    writer.close()


def event(value: object) -> bytes:
    return b"data: " + json.dumps(value).encode() + b"\n\n"


async def main() -> None:
    port = int(sys.argv[sys.argv.index("--port") + 1])
    server = await asyncio.start_server(handle, "127.0.0.1", port)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
