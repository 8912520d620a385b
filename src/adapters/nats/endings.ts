/**
 * What the server says of a request for messages when it sends no more of them.
 *
 * Source: ADR-13 of nats-architecture-and-design, and the texts of nats-server (`consumer.go`)
 *
 * @module
 */
import { MillraceError } from "../../core/errors.ts";
import type { NatsMessage } from "./client.ts";
import type { NatsNames } from "./consumer.ts";

/** Another request may follow at once, or after a look at the consumer a little later, or none. */
export type Ending = "now" | "later" | MillraceError;

/** Reads a status; undefined for one that ends nothing. */
export function endingOf(service: string, { stream, consumer }: NatsNames, headers: NatsMessage["headers"]): Ending | undefined {
  if (headers === undefined || headers.code < 400) return undefined;
  const said = headers.description.toLowerCase();
  if (headers.code === 404 || headers.code === 408) return "now";
  if (headers.code === 409 && /deleted/.test(said)) {
    return new MillraceError("not_found", `${service}: consumer ${consumer} of stream ${stream} was deleted`, { service, scope: "dependency" });
  }
  if (headers.code === 400 || /maxrequest/.test(said)) {
    return new MillraceError("conflict", `${service}: consumer ${consumer} refuses the request for messages: ${said}`, { service, scope: "process" });
  }
  return "later"; // the consumer moves to another server, has too many readers, or is not there
}
