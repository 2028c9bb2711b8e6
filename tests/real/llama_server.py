"""llama.cpp's own HTTP server as a command: `llama-server`, with those of its options that the tests need.

The server is the one in the package `xllamacpp`. It ends as `llama-server` does: SIGTERM makes it wait for its clients,
half a minute and more if one has a stream open. A model that cannot be loaded is an exit with code 1.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading


def main() -> int:
    options = _parser().parse_args()
    told_to_end = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: told_to_end.set())
    os.environ["GGML_NO_BACKTRACE"] = "1"  # it would start a debugger to say where it failed
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = options.model
    params.model_alias = {options.alias} if options.alias else set()
    params.port = options.port
    params.n_ctx = options.ctx_size
    params.n_parallel = options.parallel
    params.ctx_shift = options.context_shift
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    params.warmup = params.fit_params = False
    params.embedding = options.embeddings or options.reranking
    if options.embeddings:
        params.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
    if options.reranking:
        params.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_RANK
    try:
        server = xllamacpp.Server(params)
    except RuntimeError:  # its log said why
        return 1
    told_to_end.wait()
    del server  # ends when its clients have
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="llama-server", allow_abbrev=False)
    parser.add_argument("-m", "--model", required=True)
    parser.add_argument("-a", "--alias", help="the name that answers bear")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("-c", "--ctx-size", type=int, default=4096, help="tokens, for all slots together")
    parser.add_argument("-np", "--parallel", type=int, default=2, help="slots")
    parser.add_argument("--context-shift", action="store_true", help="go on when the context is full")
    parser.add_argument("--embeddings", action="store_true")
    parser.add_argument("--reranking", action="store_true")
    return parser


if __name__ == "__main__":
    sys.exit(main())
