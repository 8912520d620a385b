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
  private readonly maxInFlight: number;
  private readonly all = new LinkedList<Out>();

  constructor(maxInFlight: number) {
    this.maxInFlight = maxInFlight;
  }

  get size(): number {
    return this.all.size;
  }

  /** For messages. */
  get room(): number {
    return this.maxInFlight - this.all.size;
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
    return true;
  }

  /** Gives whether it was the reader's. */
  forget({ node }: Out): boolean {
    return node !== undefined && this.all.delete(node);
  }

  clear(): void {
    this.all.clear();
  }

  ids(): string[] {
    return Array.from(this.all, ({ entry }) => entry.id);
  }

  [Symbol.iterator](): Iterator<Out> {
    return this.all[Symbol.iterator]();
  }
}
