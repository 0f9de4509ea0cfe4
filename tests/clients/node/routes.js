// The service as a whole, and where it says that a solution lives.

import { TIMEOUT_MS } from './api.js';
import { same } from './checks.js';
import { DOCUMENTS, ROUTER } from './contract.js';
import { Health } from './standard.js';

const PAGE = 1000;

export class Routes {
    constructor(api, placement) {
        Object.assign(this, { api, placement });
    }

    steps() {
        return [
            this.health_says_serving,
            this.resolve_names_the_database,
            this.batch_resolve_answers_each_pair_alone,
            this.explain_names_the_rule_that_decided,
            this.the_lists_show_the_solution_and_its_database,
        ];
    }

    async health_says_serving() {
        for (const service of ['', 'liveness', ROUTER, DOCUMENTS]) {
            const { reply } = await this.api.call(Health.Check, { service }, { deadline: Date.now() + TIMEOUT_MS });
            same(`health of '${service}'`, 'SERVING', reply.status);
        }
    }

    async resolve_names_the_database() {
        const { route } = await this.api.router('ResolveDatabase');
        same('solution', this.api.solution, route.solution);
        same('state', 'STATE_ACTIVE', route.state);
        same('placement', this.placement, route.placement);
        this.database = route.database;
        return `${route.database.server}/${route.database.name} ${route.placement}`;
    }

    async batch_resolve_answers_each_pair_alone() {
        const requests = [{ solution: this.api.solution }, { solution: 'No Such Name' }];
        const { results: [good, bad] } = await this.api.router('BatchResolveDatabases', { requests });
        same('first', this.database, good.resolved.route.database);
        same('second', 'error', bad.outcome);
        same('the second has details', true, bad.error.details.length > 0);
    }

    async explain_names_the_rule_that_decided() {
        const { steps, route } = await this.api.router('ExplainRoute', { request: { solution: this.api.solution } });
        const decided = steps.filter((step) => step.decided);
        same('rules that decided', 1, decided.length);
        same('route', this.database, route.database);
        return decided[0].rule;
    }

    async the_lists_show_the_solution_and_its_database() {
        const { solutions } = await this.api.router('ListSolutions', { page_size: PAGE, prefix: this.api.solution });
        same('solutions', [this.api.solution], solutions.map(({ solution }) => solution));
        const { entries } = await this.api.router('ListDatabases', { page_size: PAGE });
        const owner = this.placement === 'PLACEMENT_SYSTEM' ? '' : this.api.solution;
        const found = entries.filter(({ database }) => database.name === this.database.name);
        same('whose', [owner], found.map(({ solution }) => solution));
    }
}
