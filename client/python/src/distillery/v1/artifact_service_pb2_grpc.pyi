import grpc

from distillery.stubs import StreamUnary, UnaryStream, UnaryUnary
from distillery.v1 import artifact_service_pb2

class ArtifactServiceStub:
    def __init__(self, channel: grpc.Channel) -> None: ...
    GetArtifact: UnaryUnary[artifact_service_pb2.GetArtifactRequest, artifact_service_pb2.Artifact]
    ListArtifacts: UnaryUnary[artifact_service_pb2.ListArtifactsRequest, artifact_service_pb2.ListArtifactsResponse]
    FindMissing: UnaryUnary[artifact_service_pb2.FindMissingRequest, artifact_service_pb2.FindMissingResponse]
    Upload: StreamUnary[artifact_service_pb2.UploadRequest, artifact_service_pb2.UploadResponse]
    QueryUpload: UnaryUnary[artifact_service_pb2.QueryUploadRequest, artifact_service_pb2.QueryUploadResponse]
    Download: UnaryStream[artifact_service_pb2.DownloadRequest, artifact_service_pb2.DownloadResponse]
    LocateUpload: UnaryUnary[artifact_service_pb2.LocateUploadRequest, artifact_service_pb2.LocateUploadResponse]
    FinalizeUpload: UnaryUnary[artifact_service_pb2.FinalizeUploadRequest, artifact_service_pb2.UploadResponse]
    LocateDownload: UnaryUnary[artifact_service_pb2.LocateDownloadRequest, artifact_service_pb2.LocateDownloadResponse]
