"""Load a model, ask it one question, and print what that took, as JSON; see `load_time.py`."""

import hashlib
import json
import sys
import time

QUERY = "Why does the kettle go quiet just before it boils?"


def main() -> None:
    """The command: a model and the tokens of a thought."""
    name, think = sys.argv[1], int(sys.argv[2])
    begun = time.perf_counter()
    from thought1 import T1
    from thought1.evaluation.provenance import peak_memory_mb
    from thought1.model.weights import add_tensor

    imported, processor = time.perf_counter(), time.process_time()
    model = T1.from_pretrained(name, device="cpu")
    loaded, load_cpu_s = time.perf_counter(), time.process_time() - processor
    load_peak_mb = peak_memory_mb()
    (thought,) = model.think([QUERY], budget=think)
    query_s, query_peak_mb = time.perf_counter() - loaded, peak_memory_mb()
    content = hashlib.sha256(json.dumps(thought.token_ids).encode() + thought.vector.tobytes())
    for key, tensor in model.checkpoint.model.state_dict().items():
        add_tensor(content, key, tensor)
    found = {
        "import_s": imported - begun,
        "load_s": loaded - imported,
        "load_cpu_s": load_cpu_s,
        "query_s": query_s,
        "load_peak_mb": load_peak_mb,
        "query_peak_mb": query_peak_mb,
        "content": content.hexdigest(),
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
