// Starts `fbs-router dev`, runs the suite against it, takes its Postgres away, and stops it.
//
//     against_dev.js BINARY       at the root of the repository
//
// Fails when dev does not get ready, when a step fails, and when dev does not end with 0 after SIGTERM.

import { execFile, spawn } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { Api } from './api.js';
import { run, same } from './checks.js';
import { Life } from './life.js';
import { Outage } from './outage.js';
import { Refusals } from './refusals.js';
import { Routes } from './routes.js';
import { Declared, Done, OPTIONS } from './service_config.js';

const READY_MS = 120_000; // initdb and the samples take seconds; a busy machine may need a minute
const STOP_MS = 30_000;
const QUICKSTART_MS = 60_000;
const SAMPLES = [['acme_corp', 'PLACEMENT_DEDICATED'], ['globex', 'PLACEMENT_SYSTEM']];
const execute = promisify(execFile);

class Dev {
    constructor(binary, folder) {
        this.ready = path.join(folder, 'ready.json');
        this.log = path.join(folder, 'dev.log');
        const output = openSync(this.log, 'w');
        const stdio = ['ignore', output, output];
        this.process = spawn(path.resolve(binary), ['dev', '--port', '0', '--ready-file', this.ready], { stdio });
        closeSync(output);
        this.ended = new Promise((resolve) => {
            this.process.on('error', (error) => resolve(error.message));
            this.process.on('exit', (code, signal) => resolve(code ?? signal));
        });
    }

    get over() {
        return this.process.exitCode !== null || this.process.signalCode !== null || this.process.pid === undefined;
    }

    // What dev wrote into its ready file.
    async address() {
        const deadline = Date.now() + READY_MS;
        while (Date.now() < deadline) {
            if (this.over) throw new Error('dev was not ready'); // stop() tells how it ended
            try {
                return JSON.parse(readFileSync(this.ready, 'utf8')).grpc;
            } catch {
                await pause(50); // not there yet
            }
        }
        throw new Error(`dev was not ready within ${READY_MS} ms`);
    }

    // Ends dev as an operator would; kills it only so that nothing stays behind.
    async stop() {
        if (this.over) throw new Error(`dev ended by itself, with ${await this.ended}`);
        this.process.kill('SIGTERM');
        let late = false;
        const timer = setTimeout(() => { late = true; this.process.kill('SIGKILL'); }, STOP_MS);
        const outcome = await this.ended;
        clearTimeout(timer);
        if (late) throw new Error(`dev did not end within ${STOP_MS} ms of SIGTERM`);
        if (outcome !== 0) throw new Error(`dev ended with ${outcome} after SIGTERM`);
    }

    // Ends the Postgres of this dev, its own child, at once. False where processes cannot be listed.
    async takePostgresAway() {
        const listing = await execute('ps', ['-A', '-o', 'pid=,ppid=,args=']).catch(() => null);
        if (!listing) return false;
        const rows = listing.stdout.split('\n').map((line) => /^ *(\d+) +(\d+) (.*)$/.exec(line)).filter(Boolean);
        const ours = rows.filter(([, , parent]) => Number(parent) === this.process.pid);
        const servers = ours.filter(([, , , what]) => what.includes('postgres -D'));
        same('Postgres servers of dev', 1, servers.length);
        const server = Number(servers[0][1]);
        process.kill(server, 'SIGQUIT'); // its immediate shutdown
        for (const end = Date.now() + STOP_MS; await isRunning(server);) {
            if (Date.now() > end) throw new Error('the Postgres server of dev does not end');
        }
        return true;
    }
}

async function isRunning(id) {
    const listing = await execute('ps', ['-o', 'state=', '-p', String(id)]).catch(() => ({ stdout: '' }));
    const state = listing.stdout.trim();
    return state !== '' && !state.startsWith('Z');
}

async function walk(address, solution, placement) {
    const api = new Api(address, solution, OPTIONS);
    try {
        const routes = new Routes(api, placement);
        await run(solution, routes);
        await run(solution, new Life(api, routes.database.name));
        await run(solution, new Refusals(api));
        await run(solution, new Quickstart(address, solution, placement));
    } finally {
        api.close();
    }
}

// The README's snippet must work as it stands there, with what it says.
class Quickstart {
    constructor(address, solution, placement) {
        Object.assign(this, { address, solution, placement });
    }

    steps() {
        return [this.the_quickstart_does_what_it_says];
    }

    async the_quickstart_does_what_it_says() {
        const place = this.placement === 'PLACEMENT_SYSTEM' ? 'the system database' : `djo_${this.solution}_db`;
        const file = fileURLToPath(new URL('quickstart.js', import.meta.url));
        const command = [file, this.address, this.solution];
        const { stdout } = await execute(process.execPath, command, { timeout: QUICKSTART_MS });
        const expected = [
            `created CTR-2026-0007 in ${place}`,
            'read back 18 bytes',
            'FAILED_PRECONDITION STATE_TRANSITION_INVALID: allowed from APPROVED, REJECTED',
            '',
        ];
        same('output', expected, stdout.split('\n'));
    }
}

async function suite(dev) {
    const address = await dev.address();
    for (const [solution, placement] of SAMPLES) await walk(address, solution, placement);
    await run('service_config', new Declared());
    await run('service_config', new Done());
    if (!(await dev.takePostgresAway())) {
        console.log('test node::outage ... ignored (there is no ps)');
        return;
    }
    for (const [solution] of SAMPLES) {
        const api = new Api(address, solution); // without the service config: the first error, not the last attempt's
        await run(solution, new Outage(api)).finally(() => api.close());
    }
}

async function main([binary]) {
    const folder = mkdtempSync(path.join(tmpdir(), 'fbs-node-client-'));
    const dev = new Dev(binary, folder);
    let interrupt;
    const interrupted = new Promise((_, reject) => { interrupt = (signal) => reject(new Error(signal)); });
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.once(signal, interrupt);
    try {
        try {
            await Promise.race([suite(dev), interrupted]);
        } finally {
            await dev.stop();
        }
        console.log('node client: ok');
        return 0;
    } catch (problem) {
        console.log(`---- fbs-router dev said ----\n${readFileSync(dev.log, 'utf8')}\n----`);
        console.log(`node client: FAILED: ${problem.message}`);
        return 1;
    } finally {
        rmSync(folder, { recursive: true, force: true });
    }
}

// Not process.exitCode: after an interrupt the suite would go on.
process.exit(await main(process.argv.slice(2)));
