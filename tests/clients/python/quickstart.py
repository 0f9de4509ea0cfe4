# pip install grpcio-tools grpcio-status; then, at the root of this repository: quickstart.py HOST:PORT SOLUTION
import hashlib
import sys
import uuid

import grpc
from google.rpc import error_details_pb2
from grpc_status import rpc_status

sys.path.insert(0, "proto")  # compiled while running: no protoc, no generated files
fbs, services = grpc.protos_and_services("fbs/document/v1/document.proto")
address, solution = sys.argv[1:]

with open("deploy/service_config.json") as retries_and_deadlines:
    options = [("grpc.service_config", retries_and_deadlines.read())]
with grpc.insecure_channel(address, options) as channel:
    documents = services.DocumentServiceStub(channel)
    draft = fbs.Document(name="CTR-2026-0007", title="Lease of the lighthouse")
    create = fbs.CreateDocumentRequest(solution=solution, document=draft, request_id=str(uuid.uuid4()))
    document = documents.CreateDocument(create).document  # may be sent again after any error: it has a request_id
    key = {"solution": solution, "document_id": document.document_id}
    print(f"created {document.name} in {document.solution_db or 'the system database'}")

    pages = [b"page one\n", b"page two\n"]
    content = fbs.Content(filename="lease.txt", media_type="text/plain", size_bytes=sum(map(len, pages)))
    content.sha256 = hashlib.sha256(b"".join(pages)).digest()
    header = fbs.UploadContentRequest(header=fbs.UploadContentRequest.Header(content=content, **key))
    chunks = [fbs.UploadContentRequest(chunk=page) for page in pages]
    document = documents.UploadContent(iter([header, *chunks])).document
    download = documents.DownloadContent(fbs.DownloadContentRequest(**key))
    print("read back", sum(len(frame.chunk) for frame in download), "bytes")

    try:
        documents.ArchiveDocument(fbs.ArchiveDocumentRequest(etag=document.etag, **key))
    except grpc.RpcError as error:
        info = error_details_pb2.ErrorInfo()
        for detail in rpc_status.from_call(error).details:
            detail.Unpack(info)  # nothing happens if it is of another type
        print(f"{error.code().name} {info.reason}: allowed from {info.metadata['allowed_from']}")
