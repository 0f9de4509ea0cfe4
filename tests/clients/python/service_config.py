#!/usr/bin/env python3
"""Checks deploy/service_config.json: that it is complete and safe, and that this library does what it says.

    service_config.py ADDRESS

What it says is compared with the contract as the service at ADDRESS reflects it; what it does is seen by stand-ins for
the service, which can be unavailable, absent or draining at will.

Why it is as it is: a call that only reads may always be sent again. A call that writes may be only with a request_id,
which a service config cannot know of, so it never is; callers who send one repeat by themselves. Transfers take as long
as they take, while frames come. Resolve waits for a service; whoever cannot resolve can do nothing else either.
"""

import contextlib
import json
import pathlib
import sys
import time

import grpc
from google.protobuf import descriptor_pb2

from api import Api, same
from stand_in import CREATE, EMPTY, GET, RESOLVE, UPLOAD, StandIn, unary
from steps import run

FILE = pathlib.Path(__file__).resolve().parents[3] / "deploy" / "service_config.json"
TEXT = FILE.read_text()
OPTIONS = [("grpc.service_config", TEXT)]
READS = descriptor_pb2.MethodOptions.NO_SIDE_EFFECTS
EVENTUALLY_S = 20


class Declared:
    """What the file says."""

    def __init__(self, api):
        self.methods = {}
        for service in api.reflection.get_services():
            if service.startswith("fbs."):
                for method in api.pool.FindServiceByName(service).methods:
                    self.methods[service, method.name] = method
        self.named = {}
        for config in json.loads(TEXT)["methodConfig"]:
            for name in config["name"]:
                self.named[name["service"], name.get("method")] = config

    def steps(self):
        return [
            self.every_method_that_it_names_is_in_the_contract,
            self.every_call_that_only_reads_is_repeated_and_no_other,
            self.every_call_but_the_transfers_has_a_deadline,
        ]

    def config(self, name):
        """What holds for a method: the most specific entry alone, as gRPC has it."""
        return self.named.get(name) or self.named.get((name[0], None)) or {}

    def every_method_that_it_names_is_in_the_contract(self):
        services = {(service, None) for service, _ in self.methods}
        same("names that the contract lacks", set(), self.named.keys() - self.methods.keys() - services)
        return f"{len(self.methods)} methods"

    def every_call_that_only_reads_is_repeated_and_no_other(self):
        reads = {name for name, method in self.methods.items() if method.GetOptions().idempotency_level == READS}
        repeated = {name for name in self.methods if "retryPolicy" in self.config(name)}
        same("repeated, though they write", set(), repeated - reads)
        same("not repeated, though they only read", set(), reads - repeated)
        codes = {code for name in reads for code in self.config(name)["retryPolicy"]["retryableStatusCodes"]}
        same("codes", {"UNAVAILABLE"}, codes)
        return f"{len(repeated)} of {len(self.methods)}"

    def every_call_but_the_transfers_has_a_deadline(self):
        streams = (name for name, method in self.methods.items() if method.client_streaming or method.server_streaming)
        transfers = set(streams)
        endless = {name for name in self.methods if "timeout" not in self.config(name)}
        same("without a deadline", transfers, endless)


class Done:
    """What the library does when it is given the file."""

    def steps(self):
        return [
            self.a_read_is_repeated_until_the_service_is_available,
            self.nothing_is_repeated_without_it,
            self.a_write_is_never_repeated,
            self.a_write_gets_a_deadline_and_an_upload_gets_none,
            self.resolve_waits_for_a_service_that_starts_after_the_call,
            self.calls_go_round_and_avoid_a_replica_that_is_draining,
        ]

    def a_read_is_repeated_until_the_service_is_available(self):
        for method in (RESOLVE, GET):
            with StandIn(unavailable=2) as service, service.channel(OPTIONS) as channel:
                unary(channel, method)
                same(f"attempts of {method}", 3, len(service.calls))

    def nothing_is_repeated_without_it(self):
        with StandIn(unavailable=2) as service, service.channel([]) as channel:
            fails(grpc.StatusCode.UNAVAILABLE, unary, channel, GET)
            same("attempts", 1, len(service.calls))

    def a_write_is_never_repeated(self):
        with StandIn(unavailable=2) as service, service.channel(OPTIONS) as channel:
            fails(grpc.StatusCode.UNAVAILABLE, unary, channel, CREATE)
            same("attempts", 1, len(service.calls))

    def a_write_gets_a_deadline_and_an_upload_gets_none(self):
        # The same file in a hurry. What is seen is the end of the call: grpcio keeps such a deadline to itself.
        hurried = [("grpc.service_config", TEXT.replace('"timeout": "10s"', '"timeout": "0.3s"'))]
        with StandIn(silent=True) as service, service.channel(hurried) as channel:
            transfer = channel.stream_unary(UPLOAD).future(iter([EMPTY]))
            eventually("the upload has begun", lambda: service.calls == [UPLOAD])
            fails(grpc.StatusCode.DEADLINE_EXCEEDED, unary, channel, CREATE)
            same("the upload has ended too", False, transfer.done())
            service.speak.set()
            same("answer", EMPTY, transfer.result(EVENTUALLY_S))

    def resolve_waits_for_a_service_that_starts_after_the_call(self):
        with StandIn() as gone:
            port = gone.port
        with grpc.insecure_channel(f"127.0.0.1:{port}", OPTIONS) as channel:
            states = []
            channel.subscribe(states.append, try_to_connect=True)
            waiting = channel.unary_unary(RESOLVE).future(EMPTY)
            eventually("the connection is refused", lambda: grpc.ChannelConnectivity.TRANSIENT_FAILURE in states)
            fails(grpc.StatusCode.UNAVAILABLE, unary, channel, CREATE)
            same("the call has ended", False, waiting.done())
            with StandIn(port=port):
                same("answer", EMPTY, waiting.result(EVENTUALLY_S))

    def calls_go_round_and_avoid_a_replica_that_is_draining(self):
        with StandIn() as first, StandIn() as second, contextlib.ExitStack() as stack:
            second.serving(False)
            target = f"ipv4:127.0.0.1:{first.port},127.0.0.1:{second.port}"
            channel = stack.enter_context(grpc.insecure_channel(target, OPTIONS))
            for _ in range(10):
                unary(channel, RESOLVE)
            same("calls", (10, 0), (len(first.calls), len(second.calls)))
            second.serving(True)
            eventually("the second is asked", lambda: unary(channel, RESOLVE) == EMPTY and second.calls)


def fails(code, call, *arguments):
    try:
        call(*arguments)
    except grpc.RpcError as error:
        same("code", code, error.code())
    else:
        raise AssertionError(f"expected {code}, found an answer")


def eventually(what, condition):
    deadline = time.monotonic() + EVENTUALLY_S
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {EVENTUALLY_S} s: {what}")
        time.sleep(0.02)


def main(arguments):
    if len(arguments) != 1:
        print(__doc__, file=sys.stderr)
        return 2
    with grpc.insecure_channel(arguments[0]) as channel:
        declared = Declared(Api(channel, ""))
        return 0 if run("service_config", declared.steps()) and run("service_config", Done().steps()) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
