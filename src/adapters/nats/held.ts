/**
 * A message that a reader holds.
 *
 * @module
 */
import type { Deadline } from "../../core/deadlines.ts";
import type { NatsMessage } from "./client.ts";

/** What a message is given back by. */
export const negative = "-NAK";

/** A message that waits to be handed out, or is out. */
export interface Held {
  readonly id: string;
  readonly attempt: number;
  readonly streamSeq: number;
  readonly message: NatsMessage;
  readonly controller: AbortController;
  lease: Deadline<Held> | undefined;
  /** The subject that settles it. */
  reply: string;
  /** What the server is being told of it. */
  settling: "ack" | "nack" | undefined;
}
