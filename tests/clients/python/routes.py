"""The service as a whole, and where it says that a solution lives."""

from google.protobuf import json_format
from grpc_health.v1 import health_pb2, health_pb2_grpc

from api import DOCUMENTS, ROUTER, TIMEOUT_S, same

PLACEMENTS = {"dedicated": "PLACEMENT_DEDICATED", "system": "PLACEMENT_SYSTEM"}
PAGE = 1000


class Routes:
    def __init__(self, api, placement):
        self.api, self.placement = api, placement

    def steps(self):
        return [
            self.health_says_serving,
            self.reflection_lists_the_services,
            self.resolve_names_the_database,
            self.batch_resolve_answers_each_pair_alone,
            self.explain_names_the_rule_that_decided,
            self.the_lists_show_the_solution_and_its_database,
        ]

    def health_says_serving(self):
        stub = health_pb2_grpc.HealthStub(self.api.channel)
        # Waits for the connection: the one step that may come before the server's first answer.
        for service in ("", "liveness", ROUTER, DOCUMENTS):
            reply = stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=TIMEOUT_S, wait_for_ready=True)
            same(f"health of {service!r}", health_pb2.HealthCheckResponse.SERVING, reply.status)

    def reflection_lists_the_services(self):
        missing = {ROUTER, DOCUMENTS, "grpc.health.v1.Health"} - set(self.api.reflection.get_services())
        same("services that reflection does not list", set(), missing)

    def resolve_names_the_database(self):
        route = shown(self.api.router("ResolveDatabase").route)
        same("solution", self.api.solution, route["solution"])
        same("state", "STATE_ACTIVE", route["state"])
        if self.placement:
            same("placement", PLACEMENTS[self.placement], route["placement"])
        self.route, self.database = route, route["database"]["name"]
        return f"{route['database']['server']}/{self.database} {route['placement']}"

    def batch_resolve_answers_each_pair_alone(self):
        requests = [{"solution": self.api.solution}, {"solution": "No Such Name"}]
        good, bad = self.api.router("BatchResolveDatabases", requests=requests).results
        same("first", self.route["database"], shown(good.resolved.route)["database"])
        same("second", "error", bad.WhichOneof("outcome"))
        if not bad.error.details:
            raise AssertionError(f"the error of the second carries no details: {bad.error}")

    def explain_names_the_rule_that_decided(self):
        reply = self.api.router("ExplainRoute", request={"solution": self.api.solution})
        decided = [step.rule for step in reply.steps if step.decided]
        same("rules that decided", 1, len(decided))
        same("route", self.route["database"], shown(reply.route)["database"])
        return decided[0]

    def the_lists_show_the_solution_and_its_database(self):
        solutions = self.api.router("ListSolutions", page_size=PAGE, prefix=self.api.solution).solutions
        same("solutions", [self.api.solution], [entry.solution for entry in solutions])
        entries = self.api.router("ListDatabases", page_size=PAGE).entries
        owner = "" if self.route["placement"] == PLACEMENTS["system"] else self.api.solution
        same("whose", [owner], [entry.solution for entry in entries if entry.database.name == self.database])


def shown(message):
    return json_format.MessageToDict(message, preserving_proto_field_name=True)
