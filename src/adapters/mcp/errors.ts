/**
 * What went wrong with a server, in our codes.
 *
 * Source: JSON-RPC 2.0 §5.1; MCP 2025-11-25, "Error handling" of tools; `SdkErrorCode` of `@modelcontextprotocol/client` 2.4.
 *
 * @module
 */
import { type ErrorCode, isMillraceError, MillraceError } from "../../core/errors.ts";
import { fieldOf, numberOf, textOf } from "../../wire/error-fields.ts";
import { networkError, networkFault } from "../../wire/network-errors.ts";
import { quotedError, type Redact } from "../../wire/redact.ts";
import { plain } from "./plain.ts";

/** Name of the adapter. */
export const service = "mcp";

/** Who speaks of an error. */
export interface Reporting {
  /** The server, in a word that its caller chose: host, command. */
  readonly server: string;
  readonly redact: Redact;
}

/** What the client says in words of its own. */
const clientCodes: ReadonlyMap<string, readonly [ErrorCode, what: string]> = new Map([
  ["CONNECTION_CLOSED", ["unavailable", "the connection has ended"]],
  ["NOT_CONNECTED", ["unavailable", "there is no connection"]],
  ["SEND_FAILED", ["unavailable", "the request could not be sent"]],
  ["REQUEST_TIMEOUT", ["timeout", "no answer"]],
  ["LIST_PAGINATION_EXCEEDED", ["bad_response", "its list of tools does not end"]],
]);

const invalidParams = -32_602;
const methodNotFound = -32_601;
const internalError = -32_603;

/** The error of a request. `toTool`: what the server says of the arguments is for the model. */
export function requestError(error: unknown, { server, redact }: Reporting, toTool = false): MillraceError {
  const ours = isMillraceError(error) ? error : fieldOf(error, "data");
  if (isMillraceError(ours)) return ours;
  const cause = quotedError(error, redact);
  const said = plain(redact(textOf(error, "message") ?? ""), 300);
  const rpc = numberOf(error, "code");
  if (rpc !== undefined) {
    if (toTool && rpc === invalidParams) return new MillraceError("tool_failed", said, { service, cause });
    const code: ErrorCode = rpc === internalError ? "unavailable" : rpc === methodNotFound ? "missing_config" : "bad_response";
    return new MillraceError(code, `${service}: ${server} answered error ${rpc}: ${said}`, { service, cause });
  }
  const known = clientCodes.get(textOf(error, "code") ?? "");
  if (known !== undefined) return new MillraceError(known[0], `${service}: ${server}: ${known[1]}`, { service, cause });
  if (said === "Not connected") return new MillraceError("unavailable", `${service}: ${server}: there is no connection`, { service, cause }); // has no code
  if (networkFault(error) !== undefined) return networkError(service, `${server}: the connection failed`, error, redact);
  return new MillraceError("bad_response", `${service}: ${server} gave no answer of MCP: ${said}`, { service, cause });
}
