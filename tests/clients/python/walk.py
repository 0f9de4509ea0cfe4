#!/usr/bin/env python3
"""A stranger's client: knows an address and a solution, and learns everything else by reflection.

    walk.py ADDRESS SOLUTION [dedicated|system]

Prints one line a step in the form of `cargo test`, and exits 1 at the first that fails. With a third argument the
solution must be placed so. No code is generated from our protos: what works here works for anybody who has the address.
"""

import sys

import grpc

from api import Api
from life import Life
from refusals import Refusals
from routes import PLACEMENTS, Routes
from service_config import OPTIONS
from steps import run


def main(arguments):
    if not (len(arguments) == 2 or len(arguments) == 3 and arguments[2] in PLACEMENTS):
        print(__doc__, file=sys.stderr)
        return 2
    address, solution, *placement = arguments
    with grpc.insecure_channel(address, OPTIONS) as channel:
        api = Api(channel, solution)
        routes = Routes(api, placement[0] if placement else None)
        if not run(solution, routes.steps()):
            return 1
        life = Life(api, routes.database)
        return 0 if run(solution, life.steps()) and run(solution, Refusals(api).steps()) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
