// What the service refuses, and what its errors tell: reason, domain, fields; and deadlines.

import { createHash, randomUUID } from 'node:crypto';

import grpc from '@grpc/grpc-js';

import { failed, fieldsOf, refused } from './api.js';
import { same } from './checks.js';
import { Health } from './standard.js';

const UNKNOWN_ID = '00000000-0000-4000-8000-000000000000';
const WATCH_MS = 500;

export class Refusals {
    constructor(api) {
        this.api = api;
    }

    steps() {
        return [
            this.get_of_an_unknown_document_is_an_error_with_details,
            this.an_empty_solution_is_refused_with_its_field,
            this.all_fields_that_are_wrong_are_named_at_once,
            this.a_request_id_is_not_taken_for_another_request,
            this.a_forged_page_token_is_refused,
            this.explicit_routing_to_another_database_is_refused,
            this.content_that_is_not_what_its_digest_says_stays_invisible,
            this.a_deadline_ends_its_call_and_no_other,
        ];
    }

    get key() {
        return { document_id: this.document.document_id };
    }

    async get_of_an_unknown_document_is_an_error_with_details() {
        const call = this.api.documents('GetDocument', { document_id: UNKNOWN_ID });
        await refused('NOT_FOUND', 'DOCUMENT_NOT_FOUND', call);
    }

    async an_empty_solution_is_refused_with_its_field() {
        const call = this.api.router('ResolveDatabase', { solution: '' });
        same('fields', ['solution'], fieldsOf(await refused('INVALID_ARGUMENT', 'SOLUTION_INVALID', call)));
    }

    async all_fields_that_are_wrong_are_named_at_once() {
        const wrong = { document: { title: 'x'.repeat(256), tags: [''] }, request_id: 'not a UUID' };
        const error = await refused('INVALID_ARGUMENT', 'FIELD_INVALID', this.api.documents('CreateDocument', wrong));
        same('fields', ['document.name', 'document.tags[0]', 'document.title', 'request_id'], fieldsOf(error));
    }

    async a_request_id_is_not_taken_for_another_request() {
        const request_id = randomUUID();
        const create = (title) =>
            this.api.documents('CreateDocument', { request_id, document: { name: 'WALK-1', title } });
        this.document = (await create('first')).document;
        const error = await refused('INVALID_ARGUMENT', 'REQUEST_ID_REUSED', create('second'));
        same('fields', ['request_id'], fieldsOf(error));
    }

    async a_forged_page_token_is_refused() {
        const call = this.api.documents('ListDocuments', { page_token: 'forged' });
        same('fields', ['page_token'], fieldsOf(await refused('INVALID_ARGUMENT', 'PAGE_TOKEN_INVALID', call)));
    }

    async explicit_routing_to_another_database_is_refused() {
        const call = this.api.documents('GetDocument', { ...this.key, database: 'another_db' });
        await refused('FAILED_PRECONDITION', 'DATABASE_MISMATCH', call);
    }

    async content_that_is_not_what_its_digest_says_stays_invisible() {
        const sha256 = createHash('sha256').update('something else').digest();
        const content = { filename: 'a.txt', media_type: 'text/plain', size_bytes: 5, sha256 };
        const upload = this.api.upload([Buffer.from('hello')], { ...this.key, content });
        await refused('INVALID_ARGUMENT', 'CHECKSUM_MISMATCH', upload);
        await refused('NOT_FOUND', 'CONTENT_NOT_FOUND', this.api.download(this.key));
        same('document', this.document, (await this.api.documents('GetDocument', this.key)).document);
    }

    async a_deadline_ends_its_call_and_no_other() {
        // A watch ends by nothing but its deadline, however fast or slow either side is.
        const { path, requestSerialize, responseDeserialize } = Health.Watch;
        const watch = this.api.client.makeServerStreamRequest(
            path, requestSerialize, responseDeserialize, { service: '' }, { deadline: Date.now() + WATCH_MS },
        );
        const seen = [];
        watch.on('data', ({ status }) => seen.push(status));
        const error = await failed(new Promise((resolve, reject) => { watch.on('end', resolve).on('error', reject); }));
        same('code', grpc.status.DEADLINE_EXCEEDED, error.code);
        same('health', ['SERVING'], seen);
        await this.api.documents('GetDocument', this.key);
    }
}
