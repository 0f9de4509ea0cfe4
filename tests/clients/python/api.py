"""Calls any method of a server by name, with messages made from what its reflection says."""

import grpc
from google.protobuf import descriptor_pool, json_format, message_factory
from google.rpc import error_details_pb2
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from grpc_status import rpc_status

TIMEOUT_S = 20  # bound of every call; each takes milliseconds
DOCUMENTS = "fbs.document.v1.DocumentService"
ROUTER = "fbs.router.v1.RouterService"


class Api:
    """A server, for one solution: the field `solution` is filled in."""

    def __init__(self, channel, solution):
        self.channel, self.solution = channel, solution
        self.reflection = ProtoReflectionDescriptorDatabase(channel)
        self.pool = descriptor_pool.DescriptorPool(self.reflection)

    def call(self, service, method, **fields):
        """The reply and the leading metadata of one unary call."""
        invoke, request_class = self.invocation(self.channel.unary_unary, service, method)
        request = json_format.ParseDict(self.filled(request_class, fields), request_class())
        reply, call = invoke.with_call(request, timeout=TIMEOUT_S)
        return reply, dict(call.initial_metadata())

    def router(self, method, **fields):
        return self.call(ROUTER, method, **fields)[0]

    def documents(self, method, **fields):
        return self.call(DOCUMENTS, method, **fields)[0]

    def upload(self, chunks, **header):
        """The document, with these chunks as its content."""
        invoke, request_class = self.invocation(self.channel.stream_unary, DOCUMENTS, "UploadContent")
        header.setdefault("solution", self.solution)
        frames = [json_format.ParseDict({"header": header}, request_class())]
        frames += [request_class(chunk=chunk) for chunk in chunks]
        return invoke(iter(frames), timeout=TIMEOUT_S).document

    def download(self, **fields):
        """The header of a content, and its chunks."""
        invoke, request_class = self.invocation(self.channel.unary_stream, DOCUMENTS, "DownloadContent")
        request = json_format.ParseDict(self.filled(request_class, fields), request_class())
        first, *rest = invoke(request, timeout=TIMEOUT_S)
        same("first frame", "header", first.WhichOneof("frame"))
        same("other frames", {"chunk"}, {frame.WhichOneof("frame") for frame in rest})
        return first.header, [frame.chunk for frame in rest]

    def pages(self, method, **fields):
        """All pages of a listing, at most `pages_max`."""
        pages_max, token = 200, ""  # a fresh `dev` has a handful of documents
        for _ in range(pages_max):
            page = self.documents(method, page_token=token, **fields)
            yield page
            token = page.next_page_token
            if not token:
                return
        raise AssertionError(f"{method} did not end within {pages_max} pages")

    def invocation(self, kind, service, method):
        described = self.pool.FindServiceByName(service).methods_by_name[method]
        request_class = message_factory.GetMessageClass(described.input_type)
        invoke = kind(
            f"/{service}/{method}",
            request_serializer=request_class.SerializeToString,
            response_deserializer=message_factory.GetMessageClass(described.output_type).FromString,
        )
        return invoke, request_class

    def filled(self, request_class, fields):
        if "solution" in request_class.DESCRIPTOR.fields_by_name:
            fields.setdefault("solution", self.solution)
        return fields


def refused(code, reason, call, *arguments, **fields):
    """The error that this call must end with."""
    try:
        reply = call(*arguments, **fields)
    except grpc.RpcError as error:
        found = (error.code().name, info(error).reason)
        same("refusal", (code, reason), found)
        return error
    raise AssertionError(f"expected {reason}, found an answer: {reply}")


def info(error):
    """The ErrorInfo that every error of the service carries."""
    found = detail(error, error_details_pb2.ErrorInfo)
    same("domain", "fbs.router", found.domain)
    return found


def fields_of(error):
    """The fields that a BadRequest complains of."""
    return sorted(violation.field for violation in detail(error, error_details_pb2.BadRequest).field_violations)


def detail(error, kind):
    """The detail of this kind that the error carries."""
    status = rpc_status.from_call(error)
    for packed in status.details if status else ():
        found = kind()
        if packed.Unpack(found):
            return found
    raise AssertionError(f"{error.code()} {error.details()!r} carries no {kind.DESCRIPTOR.name}")


def state(document):
    """A document's state, by name."""
    return document.DESCRIPTOR.enum_types_by_name["State"].values_by_number[document.state].name


def same(what, expected, found):
    if expected != found:
        raise AssertionError(f"{what}: expected {expected!r}, found {found!r}")
