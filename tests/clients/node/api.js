// Calls any method of the contract, as promises; and reads what its errors tell.

import grpc from '@grpc/grpc-js';

import { same } from './checks.js';
import { DOCUMENTS, ROUTER, Status, method } from './contract.js';
import { BadRequest, ErrorInfo } from './standard.js';

export const TIMEOUT_MS = 20_000; // bound of every call; each takes milliseconds
const PAGES_MAX = 200; // a fresh `dev` has a handful of documents

export const insecure = grpc.credentials.createInsecure();
const soon = () => ({ deadline: Date.now() + TIMEOUT_MS });

// A server, for one solution: the field `solution` is filled in.
export class Api {
    constructor(address, solution, options = {}) {
        this.solution = solution;
        this.client = new grpc.Client(address, insecure, options);
    }

    close() {
        this.client.close();
    }

    // The reply and the leading metadata of one unary call.
    call(described, request, options = soon()) {
        return unary(this.client, described, request, options);
    }

    async router(name, fields) {
        return (await this.call(method(ROUTER, name), { solution: this.solution, ...fields })).reply;
    }

    async documents(name, fields) {
        return (await this.call(method(DOCUMENTS, name), { solution: this.solution, ...fields })).reply;
    }

    // The document, with these chunks as its content.
    upload(chunks, header) {
        return new Promise((resolve, reject) => {
            const { path, requestSerialize, responseDeserialize } = method(DOCUMENTS, 'UploadContent');
            const answered = (error, reply) => (error ? reject(error) : resolve(reply.document));
            const none = new grpc.Metadata();
            const call = this.client.makeClientStreamRequest(
                path, requestSerialize, responseDeserialize, none, soon(), answered,
            );
            call.write({ header: { solution: this.solution, ...header } });
            for (const chunk of chunks) call.write({ chunk });
            call.end();
        });
    }

    // The header of a content, and its chunks.
    async download(fields) {
        const { path, requestSerialize, responseDeserialize } = method(DOCUMENTS, 'DownloadContent');
        const request = { solution: this.solution, ...fields };
        const [first, ...rest] = await this.client
            .makeServerStreamRequest(path, requestSerialize, responseDeserialize, request, soon())
            .toArray();
        same('first frame', 'header', first.frame);
        same('other frames', rest.map(() => 'chunk'), rest.map(({ frame }) => frame));
        return { header: first.header, chunks: rest.map(({ chunk }) => chunk) };
    }

    // All entries of a listing, page by page.
    async all(name, field, fields) {
        const entries = [];
        let token = '';
        for (let page = 0; page < PAGES_MAX; page += 1) {
            const reply = await this.documents(name, { page_token: token, ...fields });
            entries.push(...reply[field]);
            token = reply.next_page_token;
            if (!token) return entries;
        }
        throw new Error(`${name} did not end within ${PAGES_MAX} pages`);
    }
}

export function unary(client, described, request, options, metadata = new grpc.Metadata()) {
    const { path, requestSerialize, responseDeserialize } = described;
    return new Promise((resolve, reject) => {
        let headers;
        const answered = (error, reply) => (error ? reject(error) : resolve({ reply, headers }));
        client
            .makeUnaryRequest(path, requestSerialize, responseDeserialize, request, metadata, options, answered)
            .on('metadata', (leading) => { headers = leading.getMap(); });
    });
}

// The error that this call must end with.
export async function refused(code, reason, call) {
    const error = await failed(call);
    same('refusal', [code, reason], [grpc.status[error.code], info(error).reason]);
    return error;
}

// The error that this call must end with, whichever.
export async function failed(call) {
    let reply;
    try {
        reply = await call;
    } catch (error) {
        return error;
    }
    throw new Error(`expected an error, found an answer: ${JSON.stringify(reply)}`);
}

// The ErrorInfo that every error of the service carries.
export function info(error) {
    const found = detail(error, 'google.rpc.ErrorInfo', ErrorInfo);
    same('domain', 'fbs.router', found.domain);
    return found;
}

// The fields that a BadRequest complains of.
export function fieldsOf(error) {
    return detail(error, 'google.rpc.BadRequest', BadRequest).fieldViolations.map(({ field }) => field).sort();
}

// The detail of this kind that the error carries.
export function detail(error, name, kind) {
    const [packed] = error.metadata?.get('grpc-status-details-bin') ?? [];
    const all = packed ? Status.deserialize(packed).details : [];
    const found = all.find(({ type_url: url }) => url === `type.googleapis.com/${name}`);
    if (!found) throw new Error(`${error.message} carries no ${name}`);
    return kind.deserialize(found.value);
}
