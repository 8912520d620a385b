/**
 * What a reader of a stream has, from the server's answer until it is settled or lost.
 *
 * @module
 */
import { LinkedList, type ListNode } from "../../core/linked-list.ts";
import type { Entry } from "./stream-group.ts";

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

/** The messages of one reader. */
export class Holdings implements Iterable<Out> {
  /** Those whose acknowledgement the server has, or its answer is on its way. */
  onTheirWay = 0;
  private readonly maxInFlight: number;
  private readonly all = new LinkedList<Out>();
  private handedOut = 0;

  constructor(maxInFlight: number) {
    this.maxInFlight = maxInFlight;
  }

  get size(): number {
    return this.all.size;
  }

  /** For messages: where an acknowledgement is on its way another may be fetched, which is handed out when that is confirmed. */
  get room(): number {
    return this.maxInFlight - this.all.size + this.onTheirWay;
  }

  get mayHandOut(): boolean {
    return this.handedOut < this.maxInFlight;
  }

  keep(entry: Entry, endsMs: number): Out {
    const out = new Out(entry, endsMs);
    out.node = this.all.push(out);
    return out;
  }

  has({ node }: Out): boolean {
    return node !== undefined && this.all.has(node);
  }

  /** Gives whether it may be: it is still the reader's. */
  handOut(out: Out): boolean {
    if (!this.has(out)) return false;
    out.handed = true;
    this.handedOut += 1;
    return true;
  }

  /** Gives whether it was the reader's. */
  forget(out: Out): boolean {
    if (out.node === undefined || !this.all.delete(out.node)) return false;
    if (out.handed) this.handedOut -= 1;
    return true;
  }

  clear(): void {
    this.all.clear();
    this.handedOut = 0;
  }

  ids(): string[] {
    return Array.from(this.all, ({ entry }) => entry.id);
  }

  [Symbol.iterator](): Iterator<Out> {
    return this.all[Symbol.iterator]();
  }
}
