#!/usr/bin/env python3
"""Starts `fbs-router dev`, walks its two sample solutions, and stops it.

    against_dev.py BINARY

Needs the standard library only; walk.py runs in a process of its own, as a stranger's would. Fails when dev does not get
ready, when a step fails, and when dev does not end with 0 after SIGTERM.
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
WALK_S = 120
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


def walk_samples(address):
    walk = pathlib.Path(__file__).with_name("walk.py")
    for solution, placement in SAMPLES:
        outcome = subprocess.run([sys.executable, walk, address, solution, placement], timeout=WALK_S, check=False)
        if outcome.returncode != 0:
            raise RuntimeError(f"the walk through {solution} failed")


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
                walk_samples(wait_ready(dev, ready)["grpc"])
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
