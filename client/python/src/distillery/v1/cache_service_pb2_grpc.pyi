import grpc

from distillery.stubs import StreamUnary, UnaryStream, UnaryUnary
from distillery.v1 import cache_service_pb2

class CacheServiceStub:
    def __init__(self, channel: grpc.Channel) -> None: ...
    ExplainKey: UnaryUnary[cache_service_pb2.ExplainKeyRequest, cache_service_pb2.KeyExplanation]
    GetCacheStats: UnaryUnary[cache_service_pb2.GetCacheStatsRequest, cache_service_pb2.CacheStats]
    EvictResult: UnaryUnary[cache_service_pb2.EvictResultRequest, cache_service_pb2.EvictResultResponse]
