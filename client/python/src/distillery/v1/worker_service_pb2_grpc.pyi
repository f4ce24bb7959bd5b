import grpc

from distillery.stubs import StreamUnary, UnaryStream, UnaryUnary
from distillery.v1 import worker_service_pb2

class WorkerServiceStub:
    def __init__(self, channel: grpc.Channel) -> None: ...
    RegisterWorker: UnaryUnary[worker_service_pb2.RegisterWorkerRequest, worker_service_pb2.RegisterWorkerResponse]
    AcquireTasks: UnaryUnary[worker_service_pb2.AcquireTasksRequest, worker_service_pb2.AcquireTasksResponse]
    Heartbeat: UnaryUnary[worker_service_pb2.HeartbeatRequest, worker_service_pb2.HeartbeatResponse]
    CompleteAttempts: UnaryUnary[worker_service_pb2.CompleteAttemptsRequest, worker_service_pb2.CompleteAttemptsResponse]
    FailAttempts: UnaryUnary[worker_service_pb2.FailAttemptsRequest, worker_service_pb2.FailAttemptsResponse]
    SendLog: UnaryUnary[worker_service_pb2.SendLogRequest, worker_service_pb2.SendLogResponse]
    ReleaseLeases: UnaryUnary[worker_service_pb2.ReleaseLeasesRequest, worker_service_pb2.ReleaseLeasesResponse]
