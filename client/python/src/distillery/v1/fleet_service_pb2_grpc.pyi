import grpc

from distillery.stubs import StreamUnary, UnaryStream, UnaryUnary
from distillery.v1 import fleet_service_pb2

class FleetServiceStub:
    def __init__(self, channel: grpc.Channel) -> None: ...
    ListWorkers: UnaryUnary[fleet_service_pb2.ListWorkersRequest, fleet_service_pb2.ListWorkersResponse]
    DrainWorker: UnaryUnary[fleet_service_pb2.DrainWorkerRequest, fleet_service_pb2.Worker]
    QuarantineWorker: UnaryUnary[fleet_service_pb2.QuarantineWorkerRequest, fleet_service_pb2.Worker]
    ResumeWorker: UnaryUnary[fleet_service_pb2.ResumeWorkerRequest, fleet_service_pb2.Worker]
    ListQuotas: UnaryUnary[fleet_service_pb2.ListQuotasRequest, fleet_service_pb2.ListQuotasResponse]
    SetQuota: UnaryUnary[fleet_service_pb2.SetQuotaRequest, fleet_service_pb2.Quota]
    DeleteQuota: UnaryUnary[fleet_service_pb2.DeleteQuotaRequest, fleet_service_pb2.DeleteQuotaResponse]
    ListLedgers: UnaryUnary[fleet_service_pb2.ListLedgersRequest, fleet_service_pb2.ListLedgersResponse]
