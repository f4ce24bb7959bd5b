"""Client of a Distillery server.

    from distillery import Client

    with Client("localhost:7700") as client:
        job = client.submit({"dataset": {"path": "/usr/share/datasets/fashion-mnist"}, "modules": 4})
        client.wait(job)
        network = client.result(job, "student").module()

README.md beside the package shows all of it in one notebook.
"""

from distillery.client import Client, describe, is_over
from distillery.connection import Patience, Tls
from distillery.errors import DistilleryError
from distillery.jobfile import load_job, parse_job, state_name
from distillery.sweep import Sweep
from distillery.weights import Weights

__version__ = "0.1.0"

__all__ = ["Client", "DistilleryError", "Patience", "Sweep", "Tls", "Weights", "describe", "is_over", "load_job",
           "parse_job", "state_name"]
