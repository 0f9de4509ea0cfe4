"""A stand-in for the service that answers every call with an empty message; refuses so many at first, or is silent.

An empty message is a valid one of every type, so that none has to be known here.
"""

import threading
from concurrent import futures

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

TIMEOUT_S = 20
EMPTY = b""
RESOLVE = "/fbs.router.v1.RouterService/ResolveDatabase"
GET = "/fbs.document.v1.DocumentService/GetDocument"
CREATE = "/fbs.document.v1.DocumentService/CreateDocument"
UPLOAD = "/fbs.document.v1.DocumentService/UploadContent"


class StandIn(grpc.GenericRpcHandler):
    """Serves on 127.0.0.1 while it is entered; `calls` are the methods that came, in their order."""

    def __init__(self, unavailable=0, silent=False, port=0):
        self.unavailable, self.calls, self.speak = unavailable, [], threading.Event()
        if not silent:
            self.speak.set()
        self.server = grpc.server(futures.ThreadPoolExecutor(4), handlers=[self], options=[("grpc.so_reuseport", 0)])
        self.health = health.HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(self.health, self.server)
        self.port = self.server.add_insecure_port(f"127.0.0.1:{port}")
        self.serving(True)

    def __enter__(self):
        self.server.start()
        return self

    def __exit__(self, *_):
        self.speak.set()
        self.server.stop(grace=None).wait(TIMEOUT_S)

    def channel(self, options):
        return grpc.insecure_channel(f"127.0.0.1:{self.port}", options)

    def serving(self, yes):
        state = health_pb2.HealthCheckResponse
        self.health.set("fbs.router.v1.RouterService", state.SERVING if yes else state.NOT_SERVING)

    def service(self, details):
        method = details.method
        if method == UPLOAD:
            return grpc.stream_unary_rpc_method_handler(lambda frames, call: self.answer(method, list(frames), call))
        if method.startswith("/fbs."):
            return grpc.unary_unary_rpc_method_handler(lambda request, call: self.answer(method, request, call))
        return None

    def answer(self, method, _, call):
        self.calls.append(method)
        self.speak.wait(TIMEOUT_S)
        if len(self.calls) <= self.unavailable:
            call.abort(grpc.StatusCode.UNAVAILABLE, "not yet")
        return EMPTY


def unary(channel, method):
    """One call, with whatever deadline the service config gives it."""
    return channel.unary_unary(method)(EMPTY)
