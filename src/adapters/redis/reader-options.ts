/**
 * What a reader of a stream is made of, and what it holds.
 *
 * @module
 */
import type { Clock } from "../../core/clock.ts";
import type { ListNode } from "../../core/linked-list.ts";
import type { QueueEvent } from "../../kinds/queue.ts";
import type { Link } from "./link.ts";
import type { Entry, StreamGroup } from "./stream-group.ts";

/** A message that is out, or fetched to be handed out. */
export interface Out {
  readonly entry: Entry;
  readonly controller: AbortController;
  endsMs: number;
  handed: boolean;
  /** Where it stands among those that are held. */
  node: ListNode<Out> | undefined;
}

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
