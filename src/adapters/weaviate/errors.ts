/**
 * Errors of Weaviate's client as errors of ours.
 *
 * Of REST the status is left, of gRPC the name of the status within a text: `/weaviate.v1.Weaviate/Search UNAVAILABLE: …`.
 *
 * @module
 */
import { type ErrorCode, isMillraceError, MillraceError } from "../../core/errors.ts";
import { numberOf, textOf } from "../../wire/error-fields.ts";
import { grpcFault } from "../../wire/grpc-status.ts";
import { codeOfStatus } from "../../wire/http-status.ts";
import { networkFault } from "../../wire/network-errors.ts";
import { quotedError, type Redact } from "../../wire/redact.ts";

/** Names of gRPC's statuses, in the order of their numbers. */
const statuses = [
  "OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED",
  "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED",
];

const byName: ReadonlyMap<string, ErrorCode> = new Map<string, ErrorCode>([
  ["WeaviateUnauthenticatedError", "unauthorized"],
  ["WeaviateInsufficientPermissionsError", "unauthorized"],
  ["WeaviateInvalidInputError", "invalid_input"],
  ["WeaviateSerializationError", "invalid_input"],
  ["WeaviateDeserializationError", "bad_response"],
  ["WeaviateRequestTimeoutError", "timeout"],
  ["WeaviateUnsupportedFeatureError", "missing_config"],
  ["WeaviateGRPCUnavailableError", "unavailable"],
  ["WeaviateStartUpError", "unavailable"],
]);

interface Fault {
  readonly code: ErrorCode;
  readonly retryable?: boolean;
}

/** The error to throw for what a call of the client threw. */
export function toWeaviateError(service: string, what: string, error: unknown, redact: Redact): unknown {
  if (isMillraceError(error)) return error;
  const { code, retryable } = faultOf(error);
  const status = restStatus(error);
  return new MillraceError(code, `${service}: ${what}: ${redact(textOf(error, "message") ?? "")}`, {
    service,
    cause: quotedError(error, redact),
    ...(status === undefined ? {} : { status }),
    ...(retryable === undefined ? {} : { retryable }),
  });
}

/** The status that REST answered. */
export function restStatus(error: unknown): number | undefined {
  return textOf(error, "name") === "WeaviateUnexpectedStatusCodeError" ? numberOf(error, "code") : undefined;
}

function faultOf(error: unknown): Fault {
  const status = restStatus(error);
  if (status !== undefined) return { code: codeOfStatus(status) };
  const known = byName.get(textOf(error, "name") ?? "");
  if (known !== undefined) return { code: known };
  const message = textOf(error, "message") ?? "";
  const [, name = "", details = ""] = /\/weaviate\.v1\.Weaviate\/\w+ ([A-Z_]+): (.*)/s.exec(message) ?? [];
  const number = statuses.indexOf(name);
  if (number > 0) return callFault(number, details);
  const network = networkFault(error);
  if (network !== undefined) return { code: network.code, retryable: network.retryable };
  return { code: "bad_response" }; // the client fell over an answer that it did not expect
}

/** The server tells what is wrong with a request as UNKNOWN, in words. */
function callFault(number: number, details: string): Fault {
  if (number === 2 && /could not find class|class .* not found|tenant not found/i.test(details)) return { code: "not_found" };
  if (number === 2 && /vector lengths don't match|invalid|no such prop/i.test(details)) return { code: "invalid_input" };
  return grpcFault({ code: number, details }) ?? { code: "unavailable" };
}
