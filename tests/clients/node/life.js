// A document's whole life: written, filled, refused, approved, read, found, counted, archived, deleted, taken back.

import { createHash, randomUUID } from 'node:crypto';

import { info, refused } from './api.js';
import { same } from './checks.js';
import { DOCUMENTS, method } from './contract.js';

const KIND = 'walk_contract';
const UNKNOWN_ID = '00000000-0000-4000-8000-000000000000';
const CHUNK_BYTES = 256 * 1024;
const CONTENT = Buffer.alloc(3000 * 256, Uint8Array.from({ length: 256 }, (_, byte) => byte)); // not even chunks
const DIGEST = sha256(CONTENT);
const AUTHOR = 'author@walk';
const APPROVER = 'approver@walk';

// The steps, in their order: each may use what those before it learnt.
export class Life {
    states = []; // what the history must show
    requestId = randomUUID();

    constructor(api, database) {
        Object.assign(this, { api, database, word: `zebra${this.requestId.slice(0, 8)}` });
    }

    steps() {
        return [
            this.a_document_type_is_put_and_listed,
            this.create_stores_a_draft,
            this.create_repeated_with_its_request_id_answers_the_same_document,
            this.get_reads_it_from_the_database_that_resolve_named,
            this.update_changes_the_named_fields_alone,
            this.content_is_uploaded_in_chunks_under_its_digest,
            this.submit_makes_it_pending,
            this.a_step_that_its_state_forbids_is_refused_with_the_states_that_would_do,
            this.its_creator_may_not_approve_it_under_four_eyes,
            this.a_rejected_document_is_submitted_again,
            this.a_stale_etag_approves_nothing,
            this.approve_with_the_current_etag_makes_it_approved,
            this.download_streams_what_was_uploaded,
            this.download_goes_on_from_an_offset_of_the_same_generation,
            this.search_finds_it_by_a_word,
            this.transitions_tell_its_history_oldest_first,
            this.stats_count_it,
            this.batch_get_tells_the_missing_apart,
            this.batch_create_repeated_with_its_request_id_creates_nothing_more,
            this.archive_closes_it,
            this.the_pages_of_the_list_show_it_once,
            this.delete_hides_it_from_the_list,
            this.undelete_brings_it_back,
        ];
    }

    get key() {
        return { document_id: this.document.document_id };
    }

    // One step of the workflow, with a request_id of its own.
    async change(name, after, fields) {
        this.document = (await this.api.documents(name, { ...this.key, request_id: randomUUID(), ...fields })).document;
        same('state', after, this.document.state);
    }

    async a_document_type_is_put_and_listed() {
        this.before = await this.api.documents('GetDocumentStats');
        const rules = { requires_approval: true, four_eyes: true, allowed_extensions: ['pdf'] };
        const kind = { code: KIND, name: 'Contract', ...rules };
        const put = await this.api.documents('PutDocumentType', { document_type: kind, request_id: randomUUID() });
        const listed = await this.api.all('ListDocumentTypes', 'document_types', { page_size: 1 });
        same('types of this code', [put.document_type], listed.filter(({ code }) => code === KIND));
    }

    async create() {
        const document = {
            name: `WALK-${this.requestId.slice(0, 8)}`,
            title: `Lease of a ${this.word}`,
            document_type: KIND,
            category: 'walk/node',
            tags: ['node', 'walk'],
            metadata: { fields: { pages: { numberValue: 3 } } },
        };
        const fields = { request_id: this.requestId, actor: AUTHOR, document };
        return (await this.api.documents('CreateDocument', fields)).document;
    }

    async create_stores_a_draft() {
        this.document = await this.create();
        same('solution', this.api.solution, this.document.solution);
        same('state', 'STATE_DRAFT', this.document.state);
        same('creator', AUTHOR, this.document.created_by);
        same('pages', 3, this.document.metadata.fields.pages.numberValue);
        same('it has an etag', true, this.document.etag !== '');
        return this.document.document_id;
    }

    async create_repeated_with_its_request_id_answers_the_same_document() {
        same('repeated create', this.document, await this.create());
    }

    async get_reads_it_from_the_database_that_resolve_named() {
        const request = { solution: this.api.solution, ...this.key };
        const { reply, headers } = await this.api.call(method(DOCUMENTS, 'GetDocument'), request);
        same('document', this.document, reply.document);
        same('header fbs-database', this.database, headers['fbs-database']);
        same('other headers', [true, true], ['fbs-placement', 'fbs-epoch'].map((name) => name in headers));
    }

    async update_changes_the_named_fields_alone() {
        const before = this.document;
        const document = { description: 'Three rooms', title: 'not named in the mask' };
        const fields = { document, update_mask: { paths: ['description'] }, etag: before.etag, actor: AUTHOR };
        await this.change('UpdateDocument', 'STATE_DRAFT', fields);
        same('fields', ['Three rooms', before.title], [this.document.description, this.document.title]);
        same('the etag has changed', true, this.document.etag !== before.etag);
    }

    async content_is_uploaded_in_chunks_under_its_digest() {
        const content = {
            filename: 'lease.pdf', media_type: 'application/pdf', size_bytes: CONTENT.length, sha256: DIGEST,
        };
        const chunks = [];
        for (let at = 0; at < CONTENT.length; at += CHUNK_BYTES) chunks.push(CONTENT.subarray(at, at + CHUNK_BYTES));
        const header = { ...this.key, content, etag: this.document.etag, request_id: randomUUID(), actor: AUTHOR };
        this.document = await this.api.upload(chunks, header);
        const { generation, ...stored } = this.document.content;
        same('stored', content, stored);
        return `${chunks.length} chunks, generation ${generation}`;
    }

    async submit_makes_it_pending() {
        await this.change('SubmitDocument', 'STATE_PENDING', { actor: AUTHOR });
        this.states.push('STATE_PENDING');
    }

    async a_step_that_its_state_forbids_is_refused_with_the_states_that_would_do() {
        const call = this.api.documents('ArchiveDocument', this.key);
        const facts = info(await refused('FAILED_PRECONDITION', 'STATE_TRANSITION_INVALID', call)).metadata;
        same('facts', { state: 'PENDING', allowed_from: 'APPROVED, REJECTED' }, { ...facts });
        return `allowed_from ${facts.allowed_from}`;
    }

    async its_creator_may_not_approve_it_under_four_eyes() {
        const fields = { ...this.key, etag: this.document.etag, actor: AUTHOR };
        await refused('PERMISSION_DENIED', 'SELF_APPROVAL', this.api.documents('ApproveDocument', fields));
    }

    async a_rejected_document_is_submitted_again() {
        this.stale = this.document.etag;
        const why = { etag: this.stale, comment: 'a room is missing', actor: APPROVER };
        await this.change('RejectDocument', 'STATE_REJECTED', why);
        await this.change('SubmitDocument', 'STATE_PENDING', { comment: 'it is there now', actor: AUTHOR });
        this.states.push('STATE_REJECTED', 'STATE_PENDING');
    }

    async a_stale_etag_approves_nothing() {
        const fields = { ...this.key, etag: this.stale, actor: APPROVER };
        const error = await refused('ABORTED', 'ETAG_MISMATCH', this.api.documents('ApproveDocument', fields));
        same('current_etag', this.document.etag, info(error).metadata.current_etag);
    }

    async approve_with_the_current_etag_makes_it_approved() {
        await this.change('ApproveDocument', 'STATE_APPROVED', { etag: this.document.etag, actor: APPROVER });
        this.states.push('STATE_APPROVED');
        same('approver', APPROVER, this.document.approved_by);
    }

    async download_streams_what_was_uploaded() {
        const { header, chunks } = await this.api.download(this.key);
        same('header', this.document.content, header);
        same('digest', DIGEST, sha256(Buffer.concat(chunks)));
        return `${chunks.length} chunks`;
    }

    async download_goes_on_from_an_offset_of_the_same_generation() {
        const offset = CHUNK_BYTES + 1;
        const { generation } = this.document.content;
        const { chunks } = await this.api.download({ ...this.key, offset, generation });
        same('rest', DIGEST, sha256(Buffer.concat([CONTENT.subarray(0, offset), ...chunks])));
        const replaced = this.api.download({ ...this.key, offset, generation: generation + 1 });
        await refused('ABORTED', 'ETAG_MISMATCH', replaced);
    }

    async search_finds_it_by_a_word() {
        const { results } = await this.api.documents('SearchDocuments', { query: this.word.toUpperCase() });
        same('hits', [this.document.document_id], results.map(({ document }) => document.document_id));
        same('marked in the snippet', true, results[0].snippet.includes(`«${this.word}»`));
    }

    async transitions_tell_its_history_oldest_first() {
        const history = await this.api.all('ListDocumentTransitions', 'transitions', { ...this.key, page_size: 3 });
        const reached = history.map((step) => step.to_state);
        same('states reached', this.states, reached);
        same('from', ['STATE_DRAFT', ...reached.slice(0, -1)], history.map((step) => step.from_state));
        same('actors', [AUTHOR, APPROVER, AUTHOR, APPROVER], history.map((step) => step.actor));
        return reached.map((name) => name.replace('STATE_', '')).join(' → ');
    }

    async stats_count_it() {
        const after = await this.api.documents('GetDocumentStats');
        const counts = ({ total, by_state, by_type, by_category, content_bytes }) =>
            [total, by_state.APPROVED, by_type[KIND], by_category.walk, content_bytes].map((count) => count ?? 0);
        const added = [1, 1, 1, 1, CONTENT.length];
        same('counts', counts(this.before).map((count, index) => count + added[index]), counts(after));
    }

    async batch_get_tells_the_missing_apart() {
        const document_ids = [UNKNOWN_ID, this.document.document_id];
        const reply = await this.api.documents('BatchGetDocuments', { document_ids });
        same('found', [this.document], reply.documents);
        same('missing', [UNKNOWN_ID], reply.missing_ids);
    }

    async batch_create_repeated_with_its_request_id_creates_nothing_more() {
        const names = ['WALK-BATCH-1', 'WALK-BATCH-2', 'WALK-BATCH-3'];
        const requests = names.map((name) => ({ document: { name, title: 'One of three' } }));
        const fields = { requests, request_id: randomUUID() };
        const first = await this.api.documents('BatchCreateDocuments', fields);
        same('made', names, first.documents.map(({ name }) => name));
        same('repeated', first, await this.api.documents('BatchCreateDocuments', fields));
    }

    async archive_closes_it() {
        await this.change('ArchiveDocument', 'STATE_ARCHIVED', { etag: this.document.etag });
    }

    async listed() {
        const documents = await this.api.all('ListDocuments', 'documents', { page_size: 2 });
        same('solutions listed', [this.api.solution], [...new Set(documents.map(({ solution }) => solution))]);
        const ids = documents.map((document) => document.document_id);
        same('listed once', new Set(ids).size, ids.length);
        return ids;
    }

    async the_pages_of_the_list_show_it_once() {
        const ids = await this.listed();
        same('listed', true, ids.includes(this.document.document_id));
        same('as many as the stats count', this.before.total + 4, ids.length);
        return `${ids.length} documents`;
    }

    async delete_hides_it_from_the_list() {
        await this.change('DeleteDocument', 'STATE_ARCHIVED', { etag: this.document.etag });
        const { delete_time: deleted, purge_time: purged } = this.document;
        same('purge after delete', true, purged.seconds > deleted.seconds);
        same('listed', false, (await this.listed()).includes(this.document.document_id));
        same('read while deleted', this.document, (await this.api.documents('GetDocument', this.key)).document);
    }

    async undelete_brings_it_back() {
        await this.change('UndeleteDocument', 'STATE_ARCHIVED');
        same('delete time', null, this.document.delete_time);
        same('listed', true, (await this.listed()).includes(this.document.document_id));
    }
}

function sha256(bytes) {
    return createHash('sha256').update(bytes).digest();
}
