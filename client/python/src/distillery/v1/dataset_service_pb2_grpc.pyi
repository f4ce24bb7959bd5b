import grpc

from distillery.stubs import StreamUnary, UnaryStream, UnaryUnary
from distillery.v1 import dataset_service_pb2

class DatasetServiceStub:
    def __init__(self, channel: grpc.Channel) -> None: ...
    CreateDataset: UnaryUnary[dataset_service_pb2.CreateDatasetRequest, dataset_service_pb2.Dataset]
    GetDataset: UnaryUnary[dataset_service_pb2.GetDatasetRequest, dataset_service_pb2.Dataset]
    ListDatasets: UnaryUnary[dataset_service_pb2.ListDatasetsRequest, dataset_service_pb2.ListDatasetsResponse]
    VerifyDataset: UnaryUnary[dataset_service_pb2.VerifyDatasetRequest, dataset_service_pb2.Dataset]
    DeleteDataset: UnaryUnary[dataset_service_pb2.DeleteDatasetRequest, dataset_service_pb2.DeleteDatasetResponse]
