"""A small chat server on loopback that speaks OpenAI's protocol, in this process."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Request = dict[str, Any]


@dataclass
class ChatState:
    """What a server was asked, and how it answers."""

    answer: Callable[[Request], Any]
    """The text of an answer; or a status to refuse with; or the whole JSON, or bytes."""
    url: str = ""
    requests: list[Request] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)
    delay: float = 0.0


def completion(text: str | None, first: dict[str, float] | None = None) -> dict[str, Any]:
    """An answer as OpenAI has it, of 7 tokens read and 3 written."""
    choice: dict[str, Any] = {"index": 0, "message": {"role": "assistant", "content": text}}
    if first is not None:
        tops = [{"token": token, "logprob": value} for token, value in first.items()]
        choice["logprobs"] = {"content": [{**tops[0], "top_logprobs": tops}]}
    usage = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
    return {"id": "1", "object": "chat.completion", "choices": [choice], "usage": usage}


@contextmanager
def chat_server(answer: Callable[[Request], Any]) -> Iterator[ChatState]:
    """A server that answers until the block ends."""
    state = ChatState(answer)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            state.requests.append(request)
            state.keys.append(self.headers["Authorization"])
            time.sleep(state.delay)
            found = state.answer(request) if self.path == "/v1/chat/completions" else 404
            status = found if isinstance(found, int) else 200
            if isinstance(found, str):
                found = completion(found)
            body = found if isinstance(found, bytes) else json.dumps(found).encode()
            try:
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
            except ConnectionError:  # whoever asked has given up
                pass

        def log_message(self, *_: object) -> None:
            """Quiet."""

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    httpd.daemon_threads = True
    thread = threading.Thread(target=httpd.serve_forever, daemon=True)
    thread.start()
    state.url = f"http://127.0.0.1:{httpd.server_address[1]}"
    try:
        yield state
    finally:
        httpd.shutdown()
        thread.join()
        httpd.server_close()
