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
export class Out {
  readonly entry: Entry;
  readonly controller: AbortController = new AbortController();
  endsMs: number;
  handed = false;
  /** Where it stands among those that are held. */
  node: ListNode<Out> | undefined = undefined;

  constructor(entry: Entry, endsMs: number) {
    this.entry = entry;
    this.endsMs = endsMs;
  }
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
