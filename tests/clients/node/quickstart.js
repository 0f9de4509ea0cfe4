// npm install @grpc/grpc-js @grpc/proto-loader; then, at the root of this repository: quickstart.js HOST:PORT SOLUTION
import { createHash, randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { promisify } from 'node:util';
import grpc from '@grpc/grpc-js';
import protoLoader from '@grpc/proto-loader';

const [address, solution] = process.argv.slice(2);
const protos = ['fbs/document/v1/document.proto', 'google/rpc/status.proto'];
const definition = protoLoader.loadSync(protos, { includeDirs: ['proto'] }); // no protoc, no generated files
const { DocumentService } = grpc.loadPackageDefinition(definition).fbs.document.v1;
const options = { 'grpc.service_config': readFileSync('deploy/service_config.json', 'utf8') }; // retries, deadlines
const documents = new DocumentService(address, grpc.credentials.createInsecure(), options);
const facts = { reason: { type: 'string', id: 1 }, metadata: { keyType: 'string', type: 'string', id: 3 } };
const { ErrorInfo } = protoLoader.fromJSON({ nested: { ErrorInfo: { fields: facts } } }); // google/rpc/error_details
const call = (method, request) => promisify(documents[method]).call(documents, request);

const draft = { name: 'CTR-2026-0007', title: 'Lease of the lighthouse' };
const create = { solution, document: draft, requestId: randomUUID() }; // may be sent again after any error
const { document } = await call('createDocument', create);
const key = { solution, documentId: document.documentId };
console.log(`created ${document.name} in ${document.solutionDb || 'the system database'}`);

const file = Buffer.from('page one\npage two\n');
const sha256 = createHash('sha256').update(file).digest();
const content = { filename: 'lease.txt', mediaType: 'text/plain', sizeBytes: file.length, sha256 };
await new Promise((resolve, reject) => {
    const upload = documents.uploadContent((error) => (error ? reject(error) : resolve()));
    upload.write({ header: { ...key, content } });
    upload.end({ chunk: file });
});
const frames = await documents.downloadContent(key).toArray();
console.log('read back', frames.reduce((bytes, { chunk }) => bytes + (chunk?.length ?? 0), 0), 'bytes');
await call('archiveDocument', key).catch((error) => {
    const [status] = error.metadata.get('grpc-status-details-bin').map(definition['google.rpc.Status'].deserialize);
    const { value } = status.details.find(({ type_url: type }) => type.endsWith('/google.rpc.ErrorInfo'));
    const { reason, metadata } = ErrorInfo.deserialize(value);
    console.log(`${grpc.status[error.code]} ${reason}: allowed from ${metadata.allowed_from}`);
});
documents.close();
