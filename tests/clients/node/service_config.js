// Checks deploy/service_config.json: that it is complete and safe, and that this library does what it says. The reasons
// for what it says are in ../python/service_config.py. grpc-js does nothing about healthCheckConfig, and accepts but
// ignores waitForReady: whoever wants to wait says so in the call. grpcio does both, and is tried with both there.

import { readFileSync } from 'node:fs';

import grpc from '@grpc/grpc-js';

import { failed, insecure, unary } from './api.js';
import { eventually, same } from './checks.js';
import { methods } from './contract.js';
import { CREATE, GET, RESOLVE, StandIn, UPLOAD } from './stand_in.js';

const TEXT = readFileSync('deploy/service_config.json', 'utf8');
export const OPTIONS = { 'grpc.service_config': TEXT };

// What the file says, compared with the contract.
export class Declared {
    named = new Map();

    constructor() {
        for (const config of JSON.parse(TEXT).methodConfig) {
            for (const { service, method = '' } of config.name) this.named.set(`/${service}/${method}`, config);
        }
    }

    steps() {
        return [
            this.every_method_that_it_names_is_in_the_contract,
            this.every_call_that_only_reads_is_repeated_and_no_other,
            this.every_call_but_the_transfers_has_a_deadline,
        ];
    }

    // What holds for a method: the most specific entry alone, as gRPC has it.
    config({ path, service }) {
        return this.named.get(path) ?? this.named.get(`/${service}/`) ?? {};
    }

    every_method_that_it_names_is_in_the_contract() {
        const known = new Set(methods.flatMap(({ path, service }) => [path, `/${service}/`]));
        same('names that the contract lacks', [], [...this.named.keys()].filter((name) => !known.has(name)));
        return `${methods.length} methods`;
    }

    every_call_that_only_reads_is_repeated_and_no_other() {
        const reads = methods.filter(({ options }) => options.idempotency_level === 'NO_SIDE_EFFECTS');
        const repeated = methods.filter((method) => this.config(method).retryPolicy);
        same('repeated, though they write', [], paths(repeated.filter((method) => !reads.includes(method))));
        same('not repeated, though they only read', [], paths(reads.filter((method) => !repeated.includes(method))));
        const codes = new Set(repeated.flatMap((method) => this.config(method).retryPolicy.retryableStatusCodes));
        same('codes', new Set(['UNAVAILABLE']), codes);
        return `${repeated.length} of ${methods.length}`;
    }

    every_call_but_the_transfers_has_a_deadline() {
        const transfers = methods.filter(({ requestStream, responseStream }) => requestStream || responseStream);
        same('without a deadline', paths(transfers), paths(methods.filter((method) => !this.config(method).timeout)));
    }
}

// What the library does when it is given the file.
export class Done {
    steps() {
        return [
            this.a_read_is_repeated_until_the_service_is_available,
            this.nothing_is_repeated_without_it,
            this.a_write_is_never_repeated,
            this.a_write_gets_a_deadline_and_an_upload_gets_none,
            this.a_call_that_asks_to_wait_is_answered_by_a_service_that_starts_after_it,
            this.calls_go_round,
        ];
    }

    async a_read_is_repeated_until_the_service_is_available() {
        for (const method of [RESOLVE, GET]) {
            await against({ unavailable: 2 }, OPTIONS, async (service, client) => {
                await unary(client, method, {}, {});
                same('attempts', [method.path, method.path, method.path], service.calls);
            });
        }
    }

    async nothing_is_repeated_without_it() {
        await against({ unavailable: 2 }, {}, async (service, client) => {
            await fails('UNAVAILABLE', unary(client, GET, {}, {}));
            same('attempts', [GET.path], service.calls);
        });
    }

    async a_write_is_never_repeated() {
        await against({ unavailable: 2 }, OPTIONS, async (service, client) => {
            await fails('UNAVAILABLE', unary(client, CREATE, {}, {}));
            same('attempts', [CREATE.path], service.calls);
        });
    }

    async a_write_gets_a_deadline_and_an_upload_gets_none() {
        // The same file in a hurry.
        const hurried = { 'grpc.service_config': TEXT.replaceAll('"timeout": "10s"', '"timeout": "0.3s"') };
        await against({ silent: true }, hurried, async (service, client) => {
            const transfer = upload(client);
            await eventually('the upload has begun', () => service.calls.length === 1);
            await fails('DEADLINE_EXCEEDED', unary(client, CREATE, {}, {}));
            service.speak(); // to both: the upload must still be there to hear it
            await transfer;
        });
    }

    async a_call_that_asks_to_wait_is_answered_by_a_service_that_starts_after_it() {
        const port = await vacantPort();
        const client = new grpc.Client(`127.0.0.1:${port}`, insecure, OPTIONS);
        const service = new StandIn();
        try {
            const waiting = unary(client, RESOLVE, {}, {}, new grpc.Metadata({ waitForReady: true }));
            await fails('UNAVAILABLE', unary(client, CREATE, {}, {}));
            await service.listen(port);
            await waiting;
            same('calls', [RESOLVE.path], service.calls);
        } finally {
            client.close();
            service.close();
        }
    }

    async calls_go_round() {
        const [first, second] = [await new StandIn().listen(), await new StandIn().listen()];
        const target = `ipv4:127.0.0.1:${first.port},127.0.0.1:${second.port}`;
        const client = new grpc.Client(target, insecure, OPTIONS);
        try {
            await eventually('both are asked', async () => {
                await unary(client, RESOLVE, {}, {});
                return first.calls.length > 0 && second.calls.length > 0;
            });
        } finally {
            client.close();
            first.close();
            second.close();
        }
    }
}

// A port where nobody listens any more.
async function vacantPort() {
    const service = await new StandIn().listen();
    service.close();
    return service.port;
}

async function against(behaviour, options, work) {
    const service = await new StandIn(behaviour).listen();
    const client = service.client(options);
    try {
        await work(service, client);
    } finally {
        client.close();
        service.close();
    }
}

function upload(client) {
    const { path, requestSerialize, responseDeserialize } = UPLOAD;
    return new Promise((resolve, reject) => {
        const answered = (error, reply) => (error ? reject(error) : resolve(reply));
        client.makeClientStreamRequest(path, requestSerialize, responseDeserialize, answered).end({});
    });
}

async function fails(code, call) {
    same('code', code, grpc.status[(await failed(call)).code]);
}

const paths = (list) => list.map(({ path }) => path).sort();
