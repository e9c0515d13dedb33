"""`t1` and Python without their slow start: a process that has imported everything, and forks.

    python warm_t1.py SOCKET          serves until it is killed
    t1 ARGUMENTS                   a link to this file: asks it to run the command
    warm-python FILE               likewise a file

Servers start, bind their address and end at once.
"""

import json
import os
import signal
import socket
import sys
import traceback
from importlib import import_module

SOCKET = "THOUGHT1_WARM"
HEAVY = (
    "thought1.cli",
    "thought1.t1",
    "transformers.models.llama.modeling_llama",
    "sentence_transformers",
    "lance_namespace",
    "pyarrow.dataset",
    "fastapi",
    "pydantic_settings",
    "mcp.server",
    "ir_measures",
    "scipy.stats",
    "openai",
)
"""The store itself has a thread from the start, which would not survive the fork."""


def ask(argv: list[str]) -> int:
    """Run it there, with this process's files, folder and environment; its exit code."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(os.environ[SOCKET])
        told = json.dumps({"argv": argv, "cwd": os.getcwd(), "env": dict(os.environ)}).encode()
        socket.send_fds(connection, [len(told).to_bytes(4, "big")], [0, 1, 2])
        connection.sendall(told)
        return int.from_bytes(connection.recv(1) or b"\1", "big")


def serve(path: str) -> None:
    """Fork for each request."""
    import torch
    import uvicorn

    for name in HEAVY:
        import_module(name)
    torch.set_num_threads(1)
    uvicorn.Server.run = lambda self, sockets=None: None  # type: ignore[method-assign]
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path)
        listening.listen()
        while True:
            connection, _ = listening.accept()
            if os.fork() == 0:
                listening.close()
                code = answer(connection)
                connection.send(bytes([code]))
                os._exit(code)
            connection.close()


def answer(connection: socket.socket) -> int:
    """One request, in a process of its own; its exit code."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    head, files, _, _ = socket.recv_fds(connection, 4, 3)
    told, size = b"", int.from_bytes(head, "big")
    while len(told) < size:
        told += connection.recv(size - len(told))
    request = json.loads(told)
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    for name, number in (("stdin", 0), ("stdout", 1), ("stderr", 2)):
        mode = "w" if number else "r"
        opened = open(number, mode, encoding="utf-8", closefd=False)  # noqa: SIM115, it stays so
        setattr(sys, name, opened)
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    try:
        return run(*request["argv"])
    except BaseException:
        traceback.print_exc()
        return 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()


def run(program: str, *arguments: str) -> int:
    """A command of `t1`, or a file of Python."""
    sys.path[:0] = [os.getcwd()] if program != "t1" else os.environ.get("PYTHONPATH", "").split(":")
    if program == "t1":
        from thought1.cli import main

        return main(list(arguments))
    with open(arguments[0], encoding="utf-8") as file:
        code = compile(file.read(), arguments[0], "exec")
    exec(code, {"__name__": "__main__"})
    return 0


if __name__ == "__main__":
    name = os.path.basename(sys.argv[0])
    if name == "warm_t1.py":
        serve(sys.argv[1])
    sys.exit(ask([name, *sys.argv[1:]]))
