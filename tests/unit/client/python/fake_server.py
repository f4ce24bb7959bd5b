"""A server in this process that does as a test says: services are objects with methods named as the calls are."""

import contextlib
from concurrent import futures

import grpc

from distillery.connection import Patience
from distillery.rpc import error_details_pb2, status_pb2
from distillery.v1 import artifact_service_pb2_grpc, job_service_pb2_grpc

# Tries follow each other at once, and patience ends soon.
HASTY = Patience(call=5, retry=0.3, reconnect=0.5, first_backoff=0.001, longest_backoff=0.01)


@contextlib.contextmanager
def serve(jobs=None, tasks=None, artifacts=None, credentials=None):
    """Yields the address. `credentials` of grpc: over TLS."""
    server = grpc.server(futures.ThreadPoolExecutor(8))
    if jobs is not None:
        job_service_pb2_grpc.add_JobServiceServicer_to_server(_complete(jobs, job_service_pb2_grpc.JobServiceServicer), server)
    if tasks is not None:
        job_service_pb2_grpc.add_TaskServiceServicer_to_server(
            _complete(tasks, job_service_pb2_grpc.TaskServiceServicer), server)
    if artifacts is not None:
        artifact_service_pb2_grpc.add_ArtifactServiceServicer_to_server(
            _complete(artifacts, artifact_service_pb2_grpc.ArtifactServiceServicer), server)
    address = "127.0.0.1:0"
    port = server.add_secure_port(address, credentials) if credentials else server.add_insecure_port(address)
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(None).wait()


def _complete(service, base):
    """Gives `service` the calls that it lacks; each answers that it is not implemented."""
    service.__class__ = type("Service", (type(service), base), {})
    return service


def abort(context, code, message, *details):
    """Ends a call with an error that carries `details`, messages of distillery.rpc."""
    status = status_pb2.Status(code=code.value[0], message=message)
    for detail in details:
        packed = status.details.add()
        packed.type_url = f"type.googleapis.com/google.rpc.{detail.DESCRIPTOR.name}"
        packed.value = detail.SerializeToString()
    context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
    context.abort(code, message)


def reason(name, **metadata):
    return error_details_pb2.ErrorInfo(reason=name, domain="distillery", metadata=metadata)
