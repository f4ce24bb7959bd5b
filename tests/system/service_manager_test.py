"""Server and worker under a service manager: what they tell it, as systemd would hear it."""

import os
import signal
import socket
import unittest

from product import OK, TINY_JOB, ProductTest, eventually, write_idx_dataset

_WATCHDOG_SECONDS = 3


class ServiceManagerTest(ProductTest):
    def setUp(self):
        super().setUp()
        self.sockets = {}

    def listen(self, name):
        """Who is started next tells this socket."""
        path = self.product.path(name)
        self.sockets[name] = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(self.sockets[name].close)
        self.sockets[name].bind(path)
        self.sockets[name].settimeout(_WATCHDOG_SECONDS)
        os.environ["NOTIFY_SOCKET"] = path
        os.environ["WATCHDOG_USEC"] = str(_WATCHDOG_SECONDS * 1000000)
        for variable in ("NOTIFY_SOCKET", "WATCHDOG_USEC"):
            self.addCleanup(os.environ.pop, variable, None)

    def hear(self, name, beginning):
        """The next message that begins so; fails when the watchdog would strike before."""
        while True:
            try:
                message = self.sockets[name].recv(4096).decode()
            except TimeoutError:
                self.fail(f"{name} was silent for {_WATCHDOG_SECONDS} s; wanted {beginning}")
            if message.startswith(beginning):
                return message

    def test_server_and_worker_tell_how_they_are(self):
        self.listen("server.socket")
        server = self.product.start_server()
        self.assertEqual(self.hear("server.socket", "READY"), f"READY=1\nSTATUS=serves at {server.grpc}")
        self.listen("worker.socket")
        worker = self.product.start_worker()
        self.assertEqual(self.hear("worker.socket", "READY"), "READY=1\nSTATUS=runs")
        job = self.product.submit(self.product.write("job.yaml", TINY_JOB % write_idx_dataset(self.product.path("data"))))
        self.assertEqual(self.product.distill("job", "wait", job).returncode, OK)
        for _ in range(3):
            self.hear("server.socket", "WATCHDOG=1")
            self.hear("worker.socket", "WATCHDOG=1")
        self.assertEqual(self.hear("worker.socket", "STATUS"), "STATUS=the server answers")
        self.assertEqual(server.stop(), 0)
        self.assertEqual(self.hear("server.socket", "STOPPING"), "STOPPING=1")
        eventually(lambda: self.hear("worker.socket", "STATUS") != "STATUS=the server answers", "it tells that too")
        self.assertEqual(worker.stop(), 0)
        self.assertEqual(self.hear("worker.socket", "STOPPING"), "STOPPING=1")

    def test_a_program_that_hangs_is_silent(self):
        self.listen("server.socket")
        server = self.product.start_server()
        self.hear("server.socket", "WATCHDOG=1")
        server.process.send_signal(signal.SIGSTOP)
        self.addCleanup(server.process.send_signal, signal.SIGCONT)
        self.sockets["server.socket"].settimeout(_WATCHDOG_SECONDS)
        with self.assertRaises(TimeoutError):
            while True:
                self.sockets["server.socket"].recv(4096)

    def test_children_do_not_speak_in_its_name(self):
        self.product.start_server()
        self.listen("worker.socket")
        self.product.start_worker()
        data = write_idx_dataset(self.product.path("data"), [i % 10 for i in range(1000)])
        job = self.product.submit(self.product.write("job.yaml", TINY_JOB % data))
        trainers = eventually(lambda: self.trainers_of(self.product.workers[0].process.pid), "a trainer runs")
        for environment in trainers.values():
            self.assertNotIn(b"NOTIFY_SOCKET", environment)
        self.product.distill("job", "cancel", job)

    @staticmethod
    def trainers_of(worker):
        """The environments of a worker's trainers, by process."""
        found = {}
        for thread in os.listdir(f"/proc/{worker}/task"):
            try:
                with open(f"/proc/{worker}/task/{thread}/children", encoding="ascii") as file:
                    children = file.read().split()
                for child in children:
                    # Before it has become the trainer, a child shows what the worker was started with.
                    if os.readlink(f"/proc/{child}/exe").endswith("/distill-trainer"):
                        with open(f"/proc/{child}/environ", "rb") as file:
                            found[child] = file.read()
            except (FileNotFoundError, ProcessLookupError):
                continue  # It has just ended.
        return found


if __name__ == "__main__":
    unittest.main()
