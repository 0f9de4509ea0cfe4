#!/usr/bin/env python3
"""A stranger's client: knows an address and a solution, and learns everything else by reflection.

    walk.py ADDRESS SOLUTION [dedicated|system]

Prints one line a step in the form of `cargo test`, and exits 1 at the first that fails. With a third argument the
solution must be placed so. No code is generated from our protos: what works here works for anybody who has the address.
"""

import sys
import uuid

import grpc
from google.protobuf import descriptor_pool, json_format, message_factory
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from grpc_status import rpc_status

TIMEOUT_S = 20  # bound of every call; each takes milliseconds
WATCH_S = 0.5
PAGES_MAX = 200  # bound of the listing; a fresh `dev` has a handful of documents
PLACEMENTS = {"dedicated": "PLACEMENT_DEDICATED", "system": "PLACEMENT_SYSTEM"}
DOCUMENTS = "fbs.document.v1.DocumentService"
ROUTER = "fbs.router.v1.RouterService"


class Api:
    """Calls any method of a server by name, with messages made from what its reflection says."""

    def __init__(self, channel):
        self.channel = channel
        self.reflection = ProtoReflectionDescriptorDatabase(channel)
        self.pool = descriptor_pool.DescriptorPool(self.reflection)

    def call(self, service, method, timeout=TIMEOUT_S, **fields):
        """The reply and the leading metadata of one unary call."""
        described = self.pool.FindServiceByName(service).methods_by_name[method]
        request_class = message_factory.GetMessageClass(described.input_type)
        reply_class = message_factory.GetMessageClass(described.output_type)
        invoke = self.channel.unary_unary(
            f"/{service}/{method}",
            request_serializer=request_class.SerializeToString,
            response_deserializer=reply_class.FromString,
        )
        reply, call = invoke.with_call(json_format.ParseDict(fields, request_class()), timeout=timeout)
        return reply, dict(call.initial_metadata())

    def fails(self, service, method, **arguments):
        """The error that one unary call must end with."""
        try:
            reply, _ = self.call(service, method, **arguments)
        except grpc.RpcError as error:
            return error
        raise AssertionError(f"{method} answered {reply} instead of an error")


def same(what, expected, found):
    if expected != found:
        raise AssertionError(f"{what}: expected {expected!r}, found {found!r}")


class Walk:
    """The steps, in their order: each may use what those before it learnt."""

    def __init__(self, channel, solution, placement):
        self.channel, self.solution, self.placement = channel, solution, placement
        self.api = Api(channel)

    def steps(self):
        return [
            self.health_says_serving,
            self.reflection_lists_the_services,
            self.resolve_names_the_database,
            self.create_stores_a_document,
            self.create_repeated_with_its_request_id_answers_the_same_document,
            self.get_reads_it_from_the_database_that_resolve_named,
            self.list_shows_it_once,
            self.get_of_an_unknown_document_is_an_error_with_details,
            self.an_empty_solution_is_refused_with_its_field,
            self.a_deadline_ends_its_call_and_no_other,
        ]

    def health_says_serving(self):
        stub = health_pb2_grpc.HealthStub(self.channel)
        # Waits for the connection: the one step that may come before the server's first answer.
        for service in ("", "liveness"):
            reply = stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=TIMEOUT_S, wait_for_ready=True)
            same(f"health of {service!r}", health_pb2.HealthCheckResponse.SERVING, reply.status)

    def reflection_lists_the_services(self):
        services = set(self.api.reflection.get_services())
        missing = {ROUTER, DOCUMENTS, "grpc.health.v1.Health"} - services
        same("services that reflection does not list", set(), missing)

    def resolve_names_the_database(self):
        reply, _ = self.api.call(ROUTER, "ResolveDatabase", solution=self.solution)
        route = json_format.MessageToDict(reply.route, preserving_proto_field_name=True)
        same("solution", self.solution, route["solution"])
        same("state", "STATE_ACTIVE", route["state"])
        if self.placement:
            same("placement", PLACEMENTS[self.placement], route["placement"])
        database = route["database"]
        self.database = database["name"]
        return f"{database['server']}/{self.database} {route['placement']}"

    def create(self):
        reply, _ = self.api.call(
            DOCUMENTS,
            "CreateDocument",
            solution=self.solution,
            request_id=self.request_id,
            document={
                "name": f"WALK-{self.request_id[:8]}",
                "title": "Made by a stranger",
                "tags": ["walk", "python"],
                "metadata": {"pages": 3, "nested": {"yes": True}},
            },
        )
        return reply.document

    def create_stores_a_document(self):
        self.request_id = str(uuid.uuid4())
        self.document = self.create()
        same("solution", self.solution, self.document.solution)
        state = self.document.DESCRIPTOR.enum_types_by_name["State"].values_by_number[self.document.state].name
        same("state", "STATE_DRAFT", state)
        uuid.UUID(self.document.document_id)
        if not self.document.etag:
            raise AssertionError("the document has no etag")
        return self.document.document_id

    def create_repeated_with_its_request_id_answers_the_same_document(self):
        same("repeated create", self.document, self.create())

    def get_reads_it_from_the_database_that_resolve_named(self):
        reply, headers = self.api.call(
            DOCUMENTS, "GetDocument", solution=self.solution, document_id=self.document.document_id
        )
        same("document", self.document, reply.document)
        same("header fbs-database", self.database, headers.get("fbs-database"))
        missing = {"fbs-placement", "fbs-epoch"} - headers.keys()
        same("headers that are missing", set(), missing)

    def list_shows_it_once(self):
        seen, token = [], ""
        for _ in range(PAGES_MAX):
            reply, _ = self.api.call(
                DOCUMENTS, "ListDocuments", solution=self.solution, page_size=2, page_token=token
            )
            seen += [(document.solution, document.document_id) for document in reply.documents]
            token = reply.next_page_token
            if not token:
                break
        else:
            raise AssertionError(f"the listing did not end within {PAGES_MAX} pages")
        same("solutions listed", {self.solution}, {solution for solution, _ in seen})
        same("documents listed twice", len(set(seen)), len(seen))
        if (self.solution, self.document.document_id) not in seen:
            raise AssertionError("the new document is not listed")
        return f"{len(seen)} documents"

    def get_of_an_unknown_document_is_an_error_with_details(self):
        error = self.api.fails(
            DOCUMENTS, "GetDocument", solution=self.solution, document_id="00000000-0000-4000-8000-000000000000"
        )
        same("code", grpc.StatusCode.NOT_FOUND, error.code())
        info = detail(error, error_details_pb2.ErrorInfo)
        same("domain", "fbs.router", info.domain)
        same("reason", "DOCUMENT_NOT_FOUND", info.reason)
        return f"{error.code().name} {info.reason}"

    def an_empty_solution_is_refused_with_its_field(self):
        error = self.api.fails(ROUTER, "ResolveDatabase", solution="")
        same("code", grpc.StatusCode.INVALID_ARGUMENT, error.code())
        same("domain", "fbs.router", detail(error, error_details_pb2.ErrorInfo).domain)
        fields = [violation.field for violation in detail(error, error_details_pb2.BadRequest).field_violations]
        same("fields", ["solution"], fields)

    def a_deadline_ends_its_call_and_no_other(self):
        # A watch ends by nothing but its deadline, however fast or slow either side is.
        watch = health_pb2_grpc.HealthStub(self.channel).Watch(
            health_pb2.HealthCheckRequest(service=""), timeout=WATCH_S
        )
        same("health", health_pb2.HealthCheckResponse.SERVING, next(watch).status)
        try:
            reply = next(watch)
        except grpc.RpcError as error:
            same("code", grpc.StatusCode.DEADLINE_EXCEEDED, error.code())
        else:
            raise AssertionError(f"the watch went on with {reply}")
        self.api.call(DOCUMENTS, "GetDocument", solution=self.solution, document_id=self.document.document_id)


def detail(error, kind):
    """The detail of this kind that the error carries."""
    status = rpc_status.from_call(error)
    for packed in status.details if status else ():
        found = kind()
        if packed.Unpack(found):
            return found
    raise AssertionError(f"{error.code()} {error.details()!r} carries no {kind.DESCRIPTOR.name}")


def main(arguments):
    if not (len(arguments) == 2 or len(arguments) == 3 and arguments[2] in PLACEMENTS):
        print(__doc__, file=sys.stderr)
        return 2
    address, solution, *placement = arguments
    with grpc.insecure_channel(address) as channel:
        for step in Walk(channel, solution, placement[0] if placement else None).steps():
            name = f"python::{solution}::{step.__name__}"
            try:
                said = step()
            except grpc.RpcError as error:
                print(f"test {name} ... FAILED\n    {error.code()}: {error.details()}", flush=True)
                return 1
            except Exception as error:  # whatever it is, it is this step's failure, and is to be read
                print(f"test {name} ... FAILED\n    {type(error).__name__}: {error}", flush=True)
                return 1
            print(f"test {name} ... ok{f' ({said})' if said else ''}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
