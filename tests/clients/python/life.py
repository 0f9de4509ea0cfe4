"""A document's whole life: written, filled, refused, approved, read, found, counted, archived, deleted, taken back."""

import base64
import hashlib
import uuid

from api import DOCUMENTS, info, refused, same, state

KIND = "walk_contract"
UNKNOWN_ID = "00000000-0000-4000-8000-000000000000"
CHUNK_BYTES = 256 * 1024
CONTENT = bytes(range(256)) * 3000  # 750 KiB: two full chunks and a rest
DIGEST = hashlib.sha256(CONTENT).digest()
AUTHOR, APPROVER = "author@walk", "approver@walk"


class Life:
    """The steps, in their order: each may use what those before it learnt."""

    def __init__(self, api, database):
        self.api, self.database = api, database
        self.request_id = str(uuid.uuid4())
        self.word = f"zebra{self.request_id[:8]}"
        self.states = []  # what the history must show

    def steps(self):
        return [
            self.a_document_type_is_put_and_listed,
            self.create_stores_a_draft,
            self.create_repeated_with_its_request_id_answers_the_same_document,
            self.get_reads_it_from_the_database_that_resolve_named,
            self.update_changes_the_named_fields_alone,
            self.content_is_uploaded_in_chunks_under_its_digest,
            self.submit_makes_it_pending,
            self.a_step_that_its_state_forbids_is_refused_with_the_states_that_would_do,
            self.its_creator_may_not_approve_it_under_four_eyes,
            self.a_rejected_document_is_submitted_again,
            self.a_stale_etag_approves_nothing,
            self.approve_with_the_current_etag_makes_it_approved,
            self.download_streams_what_was_uploaded,
            self.download_goes_on_from_an_offset_of_the_same_generation,
            self.search_finds_it_by_a_word,
            self.transitions_tell_its_history_oldest_first,
            self.stats_count_it,
            self.batch_get_tells_the_missing_apart,
            self.batch_create_repeated_with_its_request_id_creates_nothing_more,
            self.archive_closes_it,
            self.the_pages_of_the_list_show_it_once,
            self.delete_hides_it_from_the_list,
            self.undelete_brings_it_back,
        ]

    def change(self, method, after, **fields):
        """One step of the workflow, with a request_id of its own."""
        reply = self.api.documents(
            method, document_id=self.document.document_id, request_id=str(uuid.uuid4()), **fields
        )
        self.document = reply.document
        same("state", after, state(self.document))

    def a_document_type_is_put_and_listed(self):
        self.before = self.api.documents("GetDocumentStats")
        kind = {"code": KIND, "name": "Contract", "requires_approval": True, "four_eyes": True}
        kind["allowed_extensions"] = ["pdf"]
        put = self.api.documents("PutDocumentType", document_type=kind, request_id=str(uuid.uuid4())).document_type
        listed = [entry for page in self.api.pages("ListDocumentTypes", page_size=1) for entry in page.document_types]
        same("types of this code", [put], [entry for entry in listed if entry.code == KIND])

    def create(self):
        document = {
            "name": f"WALK-{self.request_id[:8]}",
            "title": f"Lease of a {self.word}",
            "document_type": KIND,
            "category": "walk/python",
            "tags": ["python", "walk"],
            "metadata": {"pages": 3, "nested": {"yes": True}},
        }
        fields = {"request_id": self.request_id, "actor": AUTHOR, "document": document}
        return self.api.documents("CreateDocument", **fields).document

    def create_stores_a_draft(self):
        self.document = self.create()
        same("solution", self.api.solution, self.document.solution)
        same("state", "STATE_DRAFT", state(self.document))
        same("creator", AUTHOR, self.document.created_by)
        uuid.UUID(self.document.document_id)
        if not self.document.etag:
            raise AssertionError("the document has no etag")
        return self.document.document_id

    def create_repeated_with_its_request_id_answers_the_same_document(self):
        same("repeated create", self.document, self.create())

    def get_reads_it_from_the_database_that_resolve_named(self):
        reply, headers = self.api.call(DOCUMENTS, "GetDocument", document_id=self.document.document_id)
        same("document", self.document, reply.document)
        same("header fbs-database", self.database, headers.get("fbs-database"))
        same("headers that are missing", set(), {"fbs-placement", "fbs-epoch"} - headers.keys())

    def update_changes_the_named_fields_alone(self):
        before, changes = self.document, {"description": "Three rooms", "title": "not named in the mask"}
        self.change(
            "UpdateDocument", "STATE_DRAFT", document=changes, update_mask="description", etag=before.etag, actor=AUTHOR
        )
        same("description", "Three rooms", self.document.description)
        same("title", before.title, self.document.title)
        if self.document.etag == before.etag:
            raise AssertionError("the etag has not changed")

    def content_is_uploaded_in_chunks_under_its_digest(self):
        content = {
            "filename": "lease.pdf",
            "media_type": "application/pdf",
            "size_bytes": len(CONTENT),
            "sha256": base64.b64encode(DIGEST).decode(),
        }
        chunks = [CONTENT[start : start + CHUNK_BYTES] for start in range(0, len(CONTENT), CHUNK_BYTES)]
        fields = {"document_id": self.document.document_id, "content": content, "etag": self.document.etag}
        self.document = self.api.upload(chunks, request_id=str(uuid.uuid4()), actor=AUTHOR, **fields)
        stored = self.document.content
        same("stored", (len(CONTENT), DIGEST, "lease.pdf"), (stored.size_bytes, stored.sha256, stored.filename))
        return f"{len(chunks)} chunks, generation {stored.generation}"

    def submit_makes_it_pending(self):
        self.change("SubmitDocument", "STATE_PENDING", actor=AUTHOR)
        self.states.append("STATE_PENDING")

    def a_step_that_its_state_forbids_is_refused_with_the_states_that_would_do(self):
        identity = {"document_id": self.document.document_id}
        error = refused(
            "FAILED_PRECONDITION", "STATE_TRANSITION_INVALID", self.api.documents, "ArchiveDocument", **identity
        )
        facts = info(error).metadata
        same("facts", ("PENDING", "APPROVED, REJECTED"), (facts["state"], facts["allowed_from"]))
        return f"allowed_from {facts['allowed_from']}"

    def its_creator_may_not_approve_it_under_four_eyes(self):
        fields = {"document_id": self.document.document_id, "etag": self.document.etag, "actor": AUTHOR}
        refused("PERMISSION_DENIED", "SELF_APPROVAL", self.api.documents, "ApproveDocument", **fields)

    def a_rejected_document_is_submitted_again(self):
        self.stale = self.document.etag
        self.change("RejectDocument", "STATE_REJECTED", etag=self.stale, comment="a room is missing", actor=APPROVER)
        self.change("SubmitDocument", "STATE_PENDING", comment="it is there now", actor=AUTHOR)
        self.states += ["STATE_REJECTED", "STATE_PENDING"]

    def a_stale_etag_approves_nothing(self):
        fields = {"document_id": self.document.document_id, "etag": self.stale, "actor": APPROVER}
        error = refused("ABORTED", "ETAG_MISMATCH", self.api.documents, "ApproveDocument", **fields)
        same("current_etag", self.document.etag, info(error).metadata["current_etag"])

    def approve_with_the_current_etag_makes_it_approved(self):
        self.change("ApproveDocument", "STATE_APPROVED", etag=self.document.etag, actor=APPROVER)
        self.states.append("STATE_APPROVED")
        same("approver", APPROVER, self.document.approved_by)

    def download_streams_what_was_uploaded(self):
        header, chunks = self.api.download(document_id=self.document.document_id)
        same("header", self.document.content, header)
        same("digest", DIGEST, hashlib.sha256(b"".join(chunks)).digest())
        return f"{len(chunks)} chunks"

    def download_goes_on_from_an_offset_of_the_same_generation(self):
        offset, generation = CHUNK_BYTES + 1, self.document.content.generation
        fields = {"document_id": self.document.document_id, "offset": offset}
        _, chunks = self.api.download(generation=generation, **fields)
        same("rest", DIGEST, hashlib.sha256(CONTENT[:offset] + b"".join(chunks)).digest())
        refused("ABORTED", "ETAG_MISMATCH", self.api.download, generation=generation + 1, **fields)

    def search_finds_it_by_a_word(self):
        results = self.api.documents("SearchDocuments", query=self.word.upper()).results
        same("hits", [self.document.document_id], [result.document.document_id for result in results])
        same("marked in the snippet", True, f"«{self.word}»" in results[0].snippet)

    def transitions_tell_its_history_oldest_first(self):
        fields = {"document_id": self.document.document_id, "page_size": 3}
        history = [step for page in self.api.pages("ListDocumentTransitions", **fields) for step in page.transitions]
        names = self.document.DESCRIPTOR.enum_types_by_name["State"].values_by_number
        reached = [names[step.to_state].name for step in history]
        same("states reached", self.states, reached)
        same("from", ["STATE_DRAFT", *reached[:-1]], [names[step.from_state].name for step in history])
        same("actors", [AUTHOR, APPROVER, AUTHOR, APPROVER], [step.actor for step in history])
        return " → ".join(name.removeprefix("STATE_") for name in reached)

    def stats_count_it(self):
        before, after = self.before, self.api.documents("GetDocumentStats")
        same("total", before.total + 1, after.total)
        same("approved", before.by_state["APPROVED"] + 1, after.by_state["APPROVED"])
        same("of its type", before.by_type[KIND] + 1, after.by_type[KIND])
        same("of its category", before.by_category["walk"] + 1, after.by_category["walk"])
        same("bytes", before.content_bytes + len(CONTENT), after.content_bytes)

    def batch_get_tells_the_missing_apart(self):
        reply = self.api.documents("BatchGetDocuments", document_ids=[UNKNOWN_ID, self.document.document_id])
        same("found", [self.document], list(reply.documents))
        same("missing", [UNKNOWN_ID], list(reply.missing_ids))

    def batch_create_repeated_with_its_request_id_creates_nothing_more(self):
        requests = [{"document": {"name": f"WALK-BATCH-{number}", "title": "One of three"}} for number in range(3)]
        fields = {"requests": requests, "request_id": str(uuid.uuid4())}
        first = self.api.documents("BatchCreateDocuments", **fields).documents
        same("made", [request["document"]["name"] for request in requests], [document.name for document in first])
        same("repeated", first, self.api.documents("BatchCreateDocuments", **fields).documents)

    def archive_closes_it(self):
        self.change("ArchiveDocument", "STATE_ARCHIVED", etag=self.document.etag)

    def listed(self):
        seen = [document for page in self.api.pages("ListDocuments", page_size=2) for document in page.documents]
        same("solutions listed", {self.api.solution}, {document.solution for document in seen})
        ids = [document.document_id for document in seen]
        same("documents listed twice", len(set(ids)), len(ids))
        return ids

    def the_pages_of_the_list_show_it_once(self):
        ids = self.listed()
        same("listed", True, self.document.document_id in ids)
        same("as many as the stats count", self.before.total + 4, len(ids))
        return f"{len(ids)} documents"

    def delete_hides_it_from_the_list(self):
        self.change("DeleteDocument", "STATE_ARCHIVED", etag=self.document.etag)
        same("purge after delete", True, self.document.purge_time.seconds > self.document.delete_time.seconds > 0)
        same("listed", False, self.document.document_id in self.listed())
        read = self.api.documents("GetDocument", document_id=self.document.document_id).document
        same("read while deleted", self.document, read)

    def undelete_brings_it_back(self):
        self.change("UndeleteDocument", "STATE_ARCHIVED")
        same("delete time", False, self.document.HasField("delete_time"))
        same("listed", True, self.document.document_id in self.listed())
