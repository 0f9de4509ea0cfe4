// Runs steps, and says what was expected and what was found.

import { setTimeout as pause } from 'node:timers/promises';
import { inspect, isDeepStrictEqual } from 'node:util';

const EVENTUALLY_MS = 20_000;

// Prints one line for each step in the form of `cargo test`, whose names the steps therefore have. Throws at the first
// that fails, because those after it use what it would have learnt.
export async function run(group, object) {
    for (const step of object.steps()) {
        const name = `test node::${group}::${step.name}`;
        try {
            const said = await step.call(object);
            console.log(`${name} ... ok${said ? ` (${said})` : ''}`);
        } catch (error) {
            console.log(`${name} ... FAILED\n    ${error.message}`);
            throw new Error(`${group} failed`, { cause: error });
        }
    }
}

export function same(what, expected, found) {
    if (!isDeepStrictEqual(expected, found)) {
        throw new Error(`${what}: expected ${inspect(expected)}, found ${inspect(found)}`);
    }
}

export async function eventually(what, condition) {
    const deadline = Date.now() + EVENTUALLY_MS;
    while (!(await condition())) {
        if (Date.now() > deadline) throw new Error(`not within ${EVENTUALLY_MS} ms: ${what}`);
        await pause(20);
    }
}
