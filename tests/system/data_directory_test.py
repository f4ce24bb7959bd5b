"""Servers that must not start: a port or a data directory that is taken, a database that is not theirs."""

import os
import socket
import sqlite3
import subprocess
import unittest

from product import FAILED, ProductTest, program

# Exit codes of distill-server.
USAGE, TAKEN, ADDRESS_IN_USE = 2, 3, 4


class DataDirectoryTest(ProductTest):
    def serve(self, folder, listen="127.0.0.1:0", http="127.0.0.1:0"):
        """Runs a server that is expected to give up."""
        return subprocess.run(
            [program("distill-server"), "--data-dir", folder, "--listen", listen, "--http", http], capture_output=True,
            text=True, timeout=60, check=False)

    def test_ports_in_use(self):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            address = f"127.0.0.1:{taken.getsockname()[1]}"
            for flag in ("listen", "http"):
                run = self.serve(self.product.path("server"), **{flag: address})
                self.assert_refused(run, ADDRESS_IN_USE, address, "in use", f"choose another --{flag}")

    def test_addresses_that_are_none(self):
        self.assert_refused(self.serve(self.product.path("server"), listen="nowhere"), USAGE, "--listen", "nowhere")
        self.assert_refused(self.serve(self.product.path("server"), listen="0.0.0.0:0"), USAGE,
                            "--insecure-allow-plaintext")

    def test_a_second_server(self):
        first = self.product.start_server()
        run = self.serve(first.data_dir)
        self.assert_refused(run, TAKEN, first.data_dir, "another server", "--data-dir")
        self.assertEqual(self.product.distill("job", "list").returncode, 0, "the first goes on")
        first.kill()
        # The lock of a server that was killed is no obstacle.
        self.product.start_server()

    def set_schema(self, change):
        """Makes a data directory, and says in its database that the schema is of version `change(its own)`."""
        server = self.product.start_server()
        self.assertEqual(server.stop(), 0)
        path = os.path.join(server.data_dir, "state.db")
        with sqlite3.connect(path) as database:
            mine = database.execute("PRAGMA user_version").fetchone()[0]
            database.execute(f"PRAGMA user_version = {change(mine)}")
        database.close()
        return server.data_dir, path

    def test_a_newer_schema(self):
        folder, path = self.set_schema(lambda version: version + 1)
        before = os.stat(path).st_size
        run = self.serve(folder)
        self.assert_refused(run, TAKEN, path, "schema", "newer")
        self.assertEqual(os.stat(path).st_size, before)

    def test_a_schema_of_no_version(self):
        # Version 0 is what a database of another program has.
        folder, path = self.set_schema(lambda version: 0)
        self.assert_refused(self.serve(folder), TAKEN, path, "not of this program", "choose another data directory")

    def test_no_database(self):
        folder = self.product.path("server")
        os.makedirs(folder)
        path = self.product.write(os.path.join("server", "state.db"), "not a database " * 100)
        self.assert_refused(self.serve(folder), FAILED, path, "not a database")

    def test_a_folder_that_cannot_be_made(self):
        path = self.product.write("file", "")
        run = self.serve(os.path.join(path, "server"))
        self.assert_refused(run, FAILED, path)


if __name__ == "__main__":
    unittest.main()
