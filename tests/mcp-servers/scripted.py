"""An MCP server over stdio down to the lines, for what no SDK does today. Its argument is a plan in JSON:

    log       a file: `start PID` when it starts, then the method of each message that it reads
    before    it reads nothing until this file exists
    hold      it answers nothing until it has read `initialize` and this file exists
    silent    it answers nothing but what it knows, and that only after `initialize`
    dies      it breaks at what it does not know, and ends with the next line, as the Python SDK 1.2 to 1.6 does
    newest    it speaks 2026-07-28
    versions  the revisions that `initialize` may ask for
    says      lines that it writes to its log, before it ends with status 1
"""

import json
import os
import sys
import time

plan = json.loads(sys.argv[1])


def note(words):
    if "log" in plan:
        with open(plan["log"], "a") as log:
            log.write(words + "\n")


def wait_for(file):
    while not os.path.exists(file):
        time.sleep(0.01)


def tell(message):
    sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
    sys.stdout.flush()


def answer(message):
    method, params = message.get("method"), message.get("params") or {}
    versions = plan.get("versions", ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"])
    if method == "server/discover" and plan.get("newest"):
        about = {"resultType": "complete", "ttlMs": 0, "cacheScope": "private"}
        return {"result": {"supportedVersions": ["2026-07-28"], "capabilities": {"tools": {}}, **about}}
    if method == "initialize" and versions:
        if params["protocolVersion"] not in versions:
            data = {"supported": versions, "requested": params["protocolVersion"]}
            return {"error": {"code": -32602, "message": "Unsupported protocol version", "data": data}}
        about = {"capabilities": {"tools": {}}, "serverInfo": {"name": "scripted"}}
        return {"result": {"protocolVersion": params["protocolVersion"], **about}}
    if method == "tools/list":
        return {"result": {"tools": [{"name": "echo", "inputSchema": {"type": "object"}}]}}
    if method == "tools/call":
        return {"result": {"content": [{"type": "text", "text": "done"}]}}
    if plan.get("silent"):
        return None
    return {"error": {"code": -32601, "message": "Method not found"}}


note(f"start {os.getpid()}")
if "says" in plan:
    sys.stderr.write("\n".join(plan["says"]) + "\n")
    sys.exit(1)
if "before" in plan:
    wait_for(plan["before"])
held, is_initialized = [], False
for line in sys.stdin:
    message = json.loads(line)
    note(message.get("method", "answer"))
    if message.get("method") == "server/discover" and plan.get("dies"):
        sys.stdin.readline()
        sys.exit(1)
    is_initialized = is_initialized or message.get("method") == "initialize"
    if "id" not in message or "method" not in message:
        continue
    held.append(message)
    if "hold" in plan and not is_initialized:
        continue
    if "hold" in plan:
        wait_for(plan["hold"])
    for message in held:
        said = answer(message) if is_initialized or not plan.get("silent") else None
        if said is not None:
            tell({"id": message["id"], **said})
    held = []
