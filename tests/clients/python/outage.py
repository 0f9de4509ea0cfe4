#!/usr/bin/env python3
"""Shows what a caller is told while the databases are down: outage.py ADDRESS SOLUTION"""

import sys

import grpc
from google.rpc import error_details_pb2

from api import Api, detail, refused, same
from steps import run


class Outage:
    def __init__(self, api):
        self.api = api

    def a_database_that_is_down_is_an_error_that_says_when_to_try_again(self):
        error = refused("UNAVAILABLE", "DATABASE_UNAVAILABLE", self.api.documents, "GetDocumentStats")
        delay = detail(error, error_details_pb2.RetryInfo).retry_delay.ToMilliseconds()
        same("delay is positive", True, delay > 0)
        return f"again in {delay} ms"


def main(arguments):
    if len(arguments) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    address, solution = arguments
    # Without the service config: what is looked at is the first error, not that of the last attempt.
    with grpc.insecure_channel(address) as channel:
        steps = [Outage(Api(channel, solution)).a_database_that_is_down_is_an_error_that_says_when_to_try_again]
        return 0 if run(solution, steps) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
