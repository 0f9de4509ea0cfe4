// What a caller is told while the databases are down.

import { detail, refused } from './api.js';
import { same } from './checks.js';
import { RetryInfo } from './standard.js';

export class Outage {
    constructor(api) {
        this.api = api;
    }

    steps() {
        return [this.a_database_that_is_down_is_an_error_that_says_when_to_try_again];
    }

    async a_database_that_is_down_is_an_error_that_says_when_to_try_again() {
        const error = await refused('UNAVAILABLE', 'DATABASE_UNAVAILABLE', this.api.documents('GetDocumentStats'));
        const { seconds, nanos } = detail(error, 'google.rpc.RetryInfo', RetryInfo).retryDelay;
        const delay = seconds * 1_000 + nanos / 1_000_000;
        same('delay is positive', true, delay > 0);
        return `again in ${delay} ms`;
    }
}
