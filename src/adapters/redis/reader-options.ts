/**
 * What a reader of a stream is made of.
 *
 * @module
 */
import type { Clock } from "../../core/clock.ts";
import type { QueueEvent } from "../../kinds/queue.ts";
import type { Link } from "./link.ts";
import type { StreamGroup } from "./stream-group.ts";

/** How a reader is made. */
export interface ReaderOptions {
  readonly group: StreamGroup;
  /** The reader's own way: it waits there for messages. */
  readonly link: Link;
  readonly name: string;
  readonly leaseMs: number;
  readonly clock: Clock;
  readonly maxInFlight: number;
  readonly tell: (event: QueueEvent) => void;
  /** It leaves; the promise settles when what it had is given back. */
  readonly left: (leaving: Promise<void>) => void;
}

/** So many messages went with the stream, not with their readers. */
export function tellGone({ name, tell }: ReaderOptions, count: number): void {
  if (count > 0) tell({ kind: "gap", queue: name, count, reason: "messages were trimmed away before they were settled" });
}
