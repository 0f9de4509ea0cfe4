// A stand-in for the service that answers every call with an empty message; refuses so many at first, or is silent.

import grpc from '@grpc/grpc-js';

import { insecure } from './api.js';
import { DOCUMENTS, ROUTER, method } from './contract.js';

export const RESOLVE = method(ROUTER, 'ResolveDatabase');
export const GET = method(DOCUMENTS, 'GetDocument');
export const CREATE = method(DOCUMENTS, 'CreateDocument');
export const UPLOAD = method(DOCUMENTS, 'UploadContent');

export class StandIn {
    calls = []; // paths, in their order
    waiting = []; // answers that are held back

    constructor({ unavailable = 0, silent = false } = {}) {
        Object.assign(this, { unavailable, silent, server: new grpc.Server({ 'grpc.so_reuseport': 0 }) });
        for (const method of [RESOLVE, GET, CREATE, UPLOAD]) {
            const handler = (call, answer) => this.answer(method.path, answer);
            this.server.addService({ [method.name]: method }, { [method.name]: handler });
        }
    }

    async listen(port = 0) {
        const credentials = grpc.ServerCredentials.createInsecure();
        this.port = await new Promise((resolve, reject) => {
            const bound = (error, found) => (error ? reject(error) : resolve(found));
            this.server.bindAsync(`127.0.0.1:${port}`, credentials, bound);
        });
        return this;
    }

    client(options = {}) {
        return new grpc.Client(`127.0.0.1:${this.port}`, insecure, options);
    }

    answer(path, answer) {
        this.calls.push(path);
        if (this.silent) this.waiting.push(answer);
        else if (this.calls.length <= this.unavailable) answer({ code: grpc.status.UNAVAILABLE, details: 'not yet' });
        else answer(null, {});
    }

    speak() {
        for (const answer of this.waiting.splice(0)) answer(null, {});
    }

    close() {
        this.server.forceShutdown();
    }
}
