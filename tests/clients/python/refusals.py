"""What the service refuses, and what its errors tell: reason, domain, fields; and deadlines."""

import base64
import hashlib
import uuid

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from api import fields_of, refused, same

UNKNOWN_ID = "00000000-0000-4000-8000-000000000000"
WATCH_S = 0.5


class Refusals:
    def __init__(self, api):
        self.api = api

    def steps(self):
        return [
            self.get_of_an_unknown_document_is_an_error_with_details,
            self.an_empty_solution_is_refused_with_its_field,
            self.all_fields_that_are_wrong_are_named_at_once,
            self.a_request_id_is_not_taken_for_another_request,
            self.a_forged_page_token_is_refused,
            self.explicit_routing_to_another_database_is_refused,
            self.content_that_is_not_what_its_digest_says_stays_invisible,
            self.a_deadline_ends_its_call_and_no_other,
        ]

    def create(self, **fields):
        return self.api.documents("CreateDocument", **fields).document

    def get_of_an_unknown_document_is_an_error_with_details(self):
        refused("NOT_FOUND", "DOCUMENT_NOT_FOUND", self.api.documents, "GetDocument", document_id=UNKNOWN_ID)

    def an_empty_solution_is_refused_with_its_field(self):
        error = refused("INVALID_ARGUMENT", "SOLUTION_INVALID", self.api.router, "ResolveDatabase", solution="")
        same("fields", ["solution"], fields_of(error))

    def all_fields_that_are_wrong_are_named_at_once(self):
        wrong = {"document": {"title": "x" * 256, "tags": [""]}, "request_id": "not a UUID"}
        error = refused("INVALID_ARGUMENT", "FIELD_INVALID", self.create, **wrong)
        return ", ".join(fields_of(error))

    def a_request_id_is_not_taken_for_another_request(self):
        request_id = str(uuid.uuid4())
        self.document = self.create(request_id=request_id, document={"name": "WALK-1", "title": "first"})
        other = {"request_id": request_id, "document": {"name": "WALK-1", "title": "second"}}
        error = refused("INVALID_ARGUMENT", "REQUEST_ID_REUSED", self.create, **other)
        same("fields", ["request_id"], fields_of(error))

    def a_forged_page_token_is_refused(self):
        error = refused(
            "INVALID_ARGUMENT", "PAGE_TOKEN_INVALID", self.api.documents, "ListDocuments", page_token="forged"
        )
        same("fields", ["page_token"], fields_of(error))

    def explicit_routing_to_another_database_is_refused(self):
        identity = {"document_id": self.document.document_id, "database": "another_db"}
        refused("FAILED_PRECONDITION", "DATABASE_MISMATCH", self.api.documents, "GetDocument", **identity)

    def content_that_is_not_what_its_digest_says_stays_invisible(self):
        digest = base64.b64encode(hashlib.sha256(b"something else").digest()).decode()
        content = {"filename": "a.txt", "media_type": "text/plain", "size_bytes": 5, "sha256": digest}
        identity = {"document_id": self.document.document_id}
        refused("INVALID_ARGUMENT", "CHECKSUM_MISMATCH", self.api.upload, [b"hello"], content=content, **identity)
        refused("NOT_FOUND", "CONTENT_NOT_FOUND", self.api.download, **identity)
        same("document", self.document, self.api.documents("GetDocument", **identity).document)

    def a_deadline_ends_its_call_and_no_other(self):
        # A watch ends by nothing but its deadline, however fast or slow either side is.
        watch = health_pb2_grpc.HealthStub(self.api.channel).Watch(
            health_pb2.HealthCheckRequest(service=""), timeout=WATCH_S
        )
        same("health", health_pb2.HealthCheckResponse.SERVING, next(watch).status)
        try:
            reply = next(watch)
        except grpc.RpcError as error:
            same("code", grpc.StatusCode.DEADLINE_EXCEEDED, error.code())
        else:
            raise AssertionError(f"the watch went on with {reply}")
        self.api.documents("GetDocument", document_id=self.document.document_id)
