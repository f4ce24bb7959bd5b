#!/usr/bin/env python3
"""Records what a worker says to its server, for older_worker_test. Run by hand when a release is made:

    python3 -m venv /tmp/v && /tmp/v/bin/pip install grpcio
    /tmp/v/bin/python record.py --bin build/release/bin --out 0.2.0.transcript

Starts the server and the worker of that build with a proxy between them and a trainer that trains nothing, runs
one small job to its end, and writes one line a call: the method, its requests and its response in hexadecimal,
separated by tabs; several requests by commas. Calls that only read are left out.
"""

import argparse
import os
import struct
import subprocess
import sys
import tempfile
import time
from concurrent import futures

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "..", "..", "lint"))
from protocol import Message  # noqa: E402  (a decoder of protobuf without its library)

_KEPT = ("RegisterWorker", "AcquireTasks", "Heartbeat", "CompleteAttempts", "FailAttempts", "ReleaseLeases", "Upload")
_STREAMS = {"Upload": "stream_unary", "Download": "unary_stream"}
_JOB = """dataset: {path: %s}
modules: 2
patch_size: 7
baselines: [finetune_images]
evaluation: {corruptions: [contrast], severities: [1]}
execution: {max_bundle: 1}
pretrain_meta: {batch_size: 8}
incubate_teacher: {batch_size: 8}
finetune_teacher: {batch_size: 8}
distill_modules: {batch_size: 8}
finetune_student: {batch_size: 8}
"""


def write_dataset(folder):
    """The same images as tests/support/idx_files.h."""
    os.makedirs(folder)
    for split, count in (("train", 40), ("t10k", 20)):
        with open(os.path.join(folder, split + "-images-idx3-ubyte"), "wb") as file:
            file.write(struct.pack(">IIII", 0x803, count, 14, 14) + bytes(i * 37 % 256 for i in range(count * 196)))
        with open(os.path.join(folder, split + "-labels-idx1-ubyte"), "wb") as file:
            file.write(struct.pack(">II", 0x801, count) + bytes(i % 10 for i in range(count)))


def varint(value):
    out = b""
    while value > 127:
        out += bytes([value & 127 | 128])
        value >>= 7
    return out + bytes([value])


def field(number, data):
    data = data.encode() if isinstance(data, str) else data
    return varint(number << 3 | 2) + varint(len(data)) + data


def run_trainer():
    """Speaks the worker's pipe, and makes a small file of each output that a task names."""
    def send(event):
        os.write(4, struct.pack("<I", len(event)) + event)

    def receive(size):
        data = b""
        while len(data) < size:
            piece = os.read(3, size - len(data))
            if not piece:
                sys.exit(0)
            data += piece
        return data

    ready = field(1, varint(1 << 3) + varint(os.getpid()) + field(3, os.environ.get("DISTILL_NUMERIC_CLASS", "")))
    send(ready)
    while True:
        command = Message(receive(struct.unpack("<I", receive(4))[0]))
        for start in command.messages(1):
            for member in start.messages(1):
                print("trains", member.text(1), flush=True)
                progress = field(1, member.text(1)) + field(2, b"\x08\x01\x10\x01" + field(6, "training"))
                send(field(2, progress + varint(3 << 3) + b"\x01"))
                time.sleep(0.3)
                results = b""
                for output in member.messages(2)[0].all(18):
                    path = os.path.join(member.text(5), output.decode())
                    with open(path, "wb") as file:
                        file.write(b"result " + output)
                    results += field(3, field(1, output) + field(2, path))
                send(field(4, field(1, member.text(1)) + varint(2 << 3) + b"\x01" + results))
            send(ready)


def proxy(target, lines):
    """Passes all calls on to `target` and keeps what was said. Returns its port."""
    import grpc  # pylint: disable=import-outside-toplevel
    channel = grpc.insecure_channel(target)
    same = {"request_deserializer": None, "response_serializer": None}

    class Handler(grpc.GenericRpcHandler):
        def service(self, details):
            name = details.method.rsplit("/", 1)[1]
            kind = _STREAMS.get(name, "unary_unary")
            call = getattr(channel, kind)(details.method)

            def unary(request, context):
                requests = [request]
                if kind == "stream_unary":
                    requests = list(request)
                    request = iter(requests)
                try:
                    response = call(request, timeout=context.time_remaining())
                except grpc.RpcError as error:
                    context.abort(error.code(), error.details())
                if name in _KEPT:
                    lines.append("\t".join([details.method, ",".join(r.hex() for r in requests), response.hex()]))
                return response

            def stream(request, _):
                yield from call(request)

            return getattr(grpc, kind + "_rpc_method_handler")(stream if kind == "unary_stream" else unary, **same)

    server = grpc.server(futures.ThreadPoolExecutor(16))
    server.add_generic_rpc_handlers((Handler(),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    return server, port


def main():
    if os.path.basename(sys.argv[0]) == "trainer":
        run_trainer()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", required=True, help="folder of the programs")
    parser.add_argument("--out", required=True, help="file to write")
    arguments = parser.parse_args()
    binaries = os.path.abspath(arguments.bin)
    lines = []
    with tempfile.TemporaryDirectory() as folder:
        data, addresses = os.path.join(folder, "data"), os.path.join(folder, "addresses")
        write_dataset(data)
        trainer = os.path.join(folder, "trainer")
        with open(trainer, "w", encoding="utf-8") as file:
            file.write("#!%s\nimport sys\nsys.path.insert(0, %r)\nimport record\nrecord.run_trainer()\n"
                       % (sys.executable, HERE))
        os.chmod(trainer, 0o755)
        job = os.path.join(folder, "job.yaml")
        with open(job, "w", encoding="utf-8") as file:
            file.write(_JOB % data)
        server = subprocess.Popen([os.path.join(binaries, "distill-server"), "--data-dir", os.path.join(folder, "server"),
                                   "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0", "--addresses-file", addresses])
        while not os.path.exists(addresses):
            time.sleep(0.1)
        with open(addresses, encoding="utf-8") as file:
            target = file.readline().strip().removeprefix("grpc=")
        between, port = proxy(target, lines)
        worker = subprocess.Popen([os.path.join(binaries, "distill-worker"), "--server", f"127.0.0.1:{port}", "--slots", "1",
                                   "--data-dir", os.path.join(folder, "worker"), "--trainer", trainer])
        time.sleep(2)  # So that the job gets the worker's numeric class.
        done = subprocess.run([os.path.join(binaries, "distill"), "--server", target, "job", "submit", job, "--watch"],
                              check=False)
        worker.terminate()
        worker.wait()
        between.stop(1)
        server.terminate()
        server.wait()
    with open(arguments.out, "w", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
