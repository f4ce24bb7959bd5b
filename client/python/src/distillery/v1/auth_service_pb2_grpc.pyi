import grpc

from distillery.stubs import StreamUnary, UnaryStream, UnaryUnary
from distillery.v1 import auth_service_pb2

class AuthServiceStub:
    def __init__(self, channel: grpc.Channel) -> None: ...
    CreateToken: UnaryUnary[auth_service_pb2.CreateTokenRequest, auth_service_pb2.CreateTokenResponse]
    ListTokens: UnaryUnary[auth_service_pb2.ListTokensRequest, auth_service_pb2.ListTokensResponse]
    RevokeToken: UnaryUnary[auth_service_pb2.RevokeTokenRequest, auth_service_pb2.Token]
    WhoAmI: UnaryUnary[auth_service_pb2.WhoAmIRequest, auth_service_pb2.WhoAmIResponse]
