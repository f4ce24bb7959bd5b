"""A cheap slice of the bounds on memory; `./dev bench` measures them in full (tests/bench/service_bench.py)."""

import unittest

from product import BIN_DIR, ProductTest, eventually

# The bounds are for 10,000 tasks and for optimised programs.
_SANITIZED = "asan" in BIN_DIR or "tsan" in BIN_DIR


@unittest.skipIf(_SANITIZED, "sanitizers take memory of their own")
class MemoryTest(ProductTest):
    def test_an_empty_server_and_an_idle_worker_are_small(self):
        server = self.product.start_server()
        worker = self.product.start_worker()
        eventually(lambda: "distill_worker_registered 1" in worker.get("/metrics"), "the worker is registered")
        self.assertLess(server.rss_bytes(), 60e6)
        self.assertLess(worker.rss_bytes(), 60e6)


if __name__ == "__main__":
    unittest.main()
