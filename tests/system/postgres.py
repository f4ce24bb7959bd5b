"""A real PostgreSQL for a test of the product."""

import os
import shutil
import subprocess

from product import eventually

_VERSIONS = "/usr/lib/postgresql"


def start_postgres(test):
    """A database server in the folder of a ProductTest, as its own user, reached by a socket, ended by the test's clean-up.
    Returns its connection string; skips the test where there is none."""
    versions = sorted(os.listdir(_VERSIONS)) if os.path.isdir(_VERSIONS) else []
    if not versions or os.getuid() != 0 or shutil.which("runuser") is None:
        test.skipTest("needs Debian's package postgresql, and root to start it as another user")
    programs = os.path.join(_VERSIONS, versions[-1], "bin")
    folder = test.product.path("postgres")
    os.makedirs(folder)
    os.chmod(test.product.dir, 0o755)
    shutil.chown(folder, "postgres", "postgres")
    as_postgres = ["runuser", "-u", "postgres", "--"]
    subprocess.run([*as_postgres, f"{programs}/initdb", "-D", f"{folder}/data", "-A", "trust", "-U", "postgres"], check=True,
                   capture_output=True, cwd="/")
    with open(test.product.path("postgres.log"), "wb") as log:
        process = subprocess.Popen([*as_postgres, f"{programs}/postgres", "-D", f"{folder}/data", "-k", folder, "-h", ""],
                                   stdout=log, stderr=log, cwd="/")
    test.addCleanup(process.wait)
    test.addCleanup(process.terminate)
    conninfo = f"host={folder} user=postgres dbname=postgres"
    eventually(lambda: subprocess.run(["psql", conninfo, "-c", "select 1"], capture_output=True, check=False).returncode == 0,
               "the database answers")
    return conninfo
