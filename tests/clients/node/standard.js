// What is gRPC's own, and not in our protos: grpc/health/v1/health.proto, google/rpc/error_details.proto. Described
// here, so that nothing has to be vendored; of each no more than is looked at.

import protoLoader from '@grpc/proto-loader';

const text = (id) => ({ type: 'string', id });
const message = (fields) => ({ fields });
const service = (requestType, responseType, responseStream) => ({ requestType, responseType, responseStream });

const health = {
    ServingStatus: { values: { UNKNOWN: 0, SERVING: 1, NOT_SERVING: 2, SERVICE_UNKNOWN: 3 } },
    HealthCheckRequest: message({ service: text(1) }),
    HealthCheckResponse: message({ status: { type: 'ServingStatus', id: 1 } }),
    Health: {
        methods: {
            Check: service('HealthCheckRequest', 'HealthCheckResponse', false),
            Watch: service('HealthCheckRequest', 'HealthCheckResponse', true),
        },
    },
};

const details = {
    ErrorInfo: message({ reason: text(1), domain: text(2), metadata: { keyType: 'string', type: 'string', id: 3 } }),
    FieldViolation: message({ field: text(1), description: text(2) }),
    BadRequest: message({ fieldViolations: { rule: 'repeated', type: 'FieldViolation', id: 1 } }),
    Duration: message({ seconds: { type: 'int64', id: 1 }, nanos: { type: 'int32', id: 2 } }),
    RetryInfo: message({ retryDelay: { type: 'Duration', id: 1 } }),
};

const nested = (path, inner) =>
    path.split('.').reduceRight((content, name) => ({ [name]: { nested: content } }), inner);

export const { 'grpc.health.v1.Health': Health } = load(nested('grpc.health.v1', health));
export const {
    'google.rpc.ErrorInfo': ErrorInfo,
    'google.rpc.BadRequest': BadRequest,
    'google.rpc.RetryInfo': RetryInfo,
} = load(nested('google.rpc', details));

function load(described) {
    return protoLoader.fromJSON({ nested: described }, { enums: String, longs: Number, defaults: true });
}
