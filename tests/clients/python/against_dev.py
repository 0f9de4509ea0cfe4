#!/usr/bin/env python3
"""Starts `fbs-router dev`, runs the suite against it, takes its Postgres away, and stops it.

    against_dev.py BINARY

Needs the standard library only; what calls the service runs in processes of its own, as a stranger's would. Fails when
dev does not get ready, when a step fails, and when dev does not end with 0 after SIGTERM.
"""

import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

READY_S = 120  # initdb and the samples take seconds; a busy machine may need a minute
STOP_S = 30
PART_S = 120
HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[2]
SAMPLES = (("acme_corp", "dedicated"), ("globex", "system"))


def wait_ready(dev, file):
    """What dev wrote into its ready file."""
    deadline = time.monotonic() + READY_S
    while time.monotonic() < deadline:
        if dev.poll() is not None:
            raise RuntimeError("dev was not ready")  # stop() tells how it ended
        try:
            return json.loads(file.read_text())
        except (FileNotFoundError, json.JSONDecodeError):  # not there, or half written
            time.sleep(0.05)
    raise RuntimeError(f"dev was not ready within {READY_S} s")


def stop(dev):
    """Ends dev as an operator would; kills it only so that nothing stays behind."""
    if dev.poll() is not None:
        raise RuntimeError(f"dev ended by itself, with {dev.returncode}")
    dev.send_signal(signal.SIGTERM)
    try:
        dev.wait(STOP_S)
    except subprocess.TimeoutExpired:
        dev.kill()
        dev.wait()
        raise RuntimeError(f"dev did not end within {STOP_S} s of SIGTERM") from None
    if dev.returncode != 0:
        raise RuntimeError(f"dev ended with {dev.returncode} after SIGTERM")


def run(script, *arguments):
    """One part of the suite, which prints its own lines."""
    quiet = {**os.environ, "GRPC_VERBOSITY": "ERROR"}  # stand-ins hang up on purpose, which grpcio remarks upon
    outcome = subprocess.run([sys.executable, HERE / script, *arguments], timeout=PART_S, check=False, env=quiet)
    if outcome.returncode != 0:
        raise RuntimeError(f"{' '.join([script, *arguments])} failed")


def quickstart(address, solution, placement):
    """The README's snippet must work as it stands there, with what it says."""
    place = f"djo_{solution}_db" if placement == "dedicated" else "the system database"
    expected = (
        f"created CTR-2026-0007 in {place}\n"
        "read back 18 bytes\n"
        "FAILED_PRECONDITION STATE_TRANSITION_INVALID: allowed from APPROVED, REJECTED\n"
    )
    command = [sys.executable, HERE / "quickstart.py", address, solution]
    outcome = subprocess.run(command, cwd=ROOT, timeout=PART_S, check=False, text=True, stdout=subprocess.PIPE)
    if (outcome.returncode, outcome.stdout) != (0, expected):
        print(f"test python::{solution}::the_quickstart_does_what_it_says ... FAILED", flush=True)
        raise RuntimeError(f"expected:\n{expected}found, with {outcome.returncode}:\n{outcome.stdout}")
    print(f"test python::{solution}::the_quickstart_does_what_it_says ... ok", flush=True)


def take_postgres_away(dev):
    """Ends the Postgres of this dev, its own child, at once. False where processes cannot be listed."""
    try:
        command = ["ps", "-A", "-o", "pid=,ppid=,args="]
        listing = subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE, timeout=STOP_S).stdout
    except (OSError, subprocess.CalledProcessError):
        return False
    rows = [line.split(None, 2) for line in listing.splitlines()]
    servers = [int(row[0]) for row in rows if len(row) == 3 and row[1] == str(dev.pid) and "postgres -D" in row[2]]
    if len(servers) != 1:
        raise RuntimeError(f"dev has {len(servers)} Postgres servers")
    os.kill(servers[0], signal.SIGQUIT)  # its immediate shutdown
    end = time.monotonic() + STOP_S
    while is_running(servers[0]):
        if time.monotonic() > end:
            raise RuntimeError("the Postgres server of dev does not end")
        time.sleep(0.05)
    return True


def is_running(process):
    command = ["ps", "-o", "state=", "-p", str(process)]
    state = subprocess.run(command, check=False, text=True, stdout=subprocess.PIPE, timeout=STOP_S).stdout.strip()
    return state != "" and not state.startswith("Z")


def suite(dev, address):
    for solution, placement in SAMPLES:
        run("walk.py", address, solution, placement)
        quickstart(address, solution, placement)
    run("service_config.py", address)
    if not take_postgres_away(dev):
        print("test python::outage ... ignored (there is no ps)", flush=True)
        return
    for solution, _ in SAMPLES:
        run("outage.py", address, solution)


def main(arguments):
    if len(arguments) != 1:
        print(__doc__, file=sys.stderr)
        return 2
    # A signal ends this process by an exception, so that dev is stopped on the way out.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with tempfile.TemporaryDirectory(prefix="fbs-python-client-") as folder:
        ready, log = pathlib.Path(folder, "ready.json"), pathlib.Path(folder, "dev.log")
        command = [os.path.abspath(arguments[0]), "dev", "--port", "0", "--ready-file", str(ready)]
        with log.open("wb") as output:
            dev = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        try:
            try:
                suite(dev, wait_ready(dev, ready)["grpc"])
            finally:
                stop(dev)
        except (RuntimeError, subprocess.TimeoutExpired) as problem:
            print("---- fbs-router dev said ----", log.read_text(errors="replace"), "----", sep="\n")
            print(f"python client: FAILED: {problem}")
            return 1
    print("python client: ok")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
