"""Runs steps in their order, and prints one line for each in the form of `cargo test`."""

import grpc


def run(group, steps):
    """Whether all went well; stops at the first that does not, because those after it use what it would have learnt."""
    for step in steps:
        name = f"python::{group}::{step.__name__}"
        try:
            said = step()
        except grpc.RpcError as error:
            print(f"test {name} ... FAILED\n    {error.code()}: {error.details()}", flush=True)
            return False
        except Exception as error:  # whatever it is, it is this step's failure, and is to be read
            print(f"test {name} ... FAILED\n    {type(error).__name__}: {error}", flush=True)
            return False
        print(f"test {name} ... ok{f' ({said})' if said else ''}", flush=True)
    return True
