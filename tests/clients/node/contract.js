// The contract, as proto/ has it: every method of every service by its full name. Run at the root of the repository.

import { readdirSync } from 'node:fs';

import protoLoader from '@grpc/proto-loader';

export const ROUTER = 'fbs.router.v1.RouterService';
export const DOCUMENTS = 'fbs.document.v1.DocumentService';

const ours = readdirSync('proto/fbs', { recursive: true }).filter((name) => name.endsWith('.proto'));
const files = [...ours.map((name) => `fbs/${name}`), 'google/rpc/status.proto'];
const options = { includeDirs: ['proto'], keepCase: true, enums: String, longs: Number, defaults: true, oneofs: true };
const definition = protoLoader.loadSync(files, options);

export const Status = definition['google.rpc.Status'];

export const methods = Object.entries(definition)
    .filter(([, entry]) => !('format' in entry))
    .flatMap(([service, entry]) => Object.entries(entry).map(([name, method]) => ({ service, name, ...method })));

export function method(service, name) {
    const found = methods.find((entry) => entry.service === service && entry.name === name);
    if (!found) throw new Error(`the contract has no ${service}/${name}`);
    return found;
}
