"""A server that comes a moment after its clients: they wait for it, and notice it when it is there."""

import os
import subprocess
import time
import unittest

from authority import Authority
from product import OK, ProductTest, program

# Of a client, from the moment that the server serves: a pause between tries, a connection, a call.
_NOTICED_WITHIN_SECONDS = 2.5


class LateServerTest(ProductTest):
    def assert_noticed(self, server_flags, client_flags):
        self.product.start_server(*server_flags).kill()
        client = subprocess.Popen([program("distill"), "job", "list", *client_flags], stdout=subprocess.DEVNULL,
                                  stderr=subprocess.PIPE, text=True,
                                  env=dict(os.environ, DISTILL_SERVER=self.product.server.grpc))
        self.addCleanup(client.stderr.close)
        self.addCleanup(client.wait)
        self.addCleanup(client.kill)
        self.assertIn("trying again", client.stderr.readline())
        self.product.restart_killed_server(*server_flags)
        ready = time.monotonic()
        self.assertEqual(client.wait(timeout=60), OK)
        self.assertLess(time.monotonic() - ready, _NOTICED_WITHIN_SECONDS)

    def test_plaintext(self):
        self.assert_noticed([], [])

    def test_tls(self):
        authority = Authority(self.product.path("ca"))
        authority.make("user", "alice", "admin")
        self.assert_noticed(authority.server_flags(), authority.client_flags("user-alice"))


if __name__ == "__main__":
    unittest.main()
