/**
 * What is out of a queue on Kafka, for a sink that settles it: a queue does not show it.
 *
 * @module
 */
import { MillraceError } from "../../core/errors.ts";
import type { Delivery, Queue } from "../../kinds/queue.ts";
import type { KafkaPackage } from "./client.ts";
import { service, type Settings } from "./options.ts";
import type { Partition } from "./partition.ts";
import type { Session } from "./session.ts";

/** The inside of a queue. */
export interface Inside {
  readonly settings: Settings;
  readonly load: () => Promise<KafkaPackage>;
  /** What is done before a reading joins the group. */
  readonly prepare: Set<() => Promise<void>>;
  /** Who has the message out, if anybody here has. */
  holding(partition: number, offset: bigint): { readonly session: Session; readonly partition: Partition } | undefined;
}

const insides = new WeakMap<object, Inside>();

/** Remembers what is inside of a queue. */
export function keepInside(queue: Queue, inside: Inside): void {
  insides.set(queue, inside);
}

/** What is inside of a queue; undefined for one that is not of this adapter. */
export function insideOf(queue: unknown): Inside | undefined {
  return typeof queue === "object" && queue !== null ? insides.get(queue) : undefined;
}

/** Offsets of one partition that are to be settled together. */
export interface Share {
  readonly partition: Partition;
  readonly offsets: ReadonlySet<bigint>;
}

/** What is to be settled together, all of one session. */
export interface Shares {
  readonly session: Session;
  readonly shares: readonly Share[];
}

/** Deliveries by partition. Throws why one is lost, and for what is not out of this queue. */
export function sharesOf({ settings: { topic }, holding }: Inside, who: string, deliveries: readonly Delivery[]): Shares {
  const offsets = new Map<Partition, Set<bigint>>();
  const sessions = new Set<Session>();
  for (const { id, signal } of deliveries) {
    signal.throwIfAborted();
    const [, name, index, offset] = /^(.+)\/(\d+)\/(\d+)$/.exec(id) ?? [];
    const held = name === topic && index !== undefined && offset !== undefined ? holding(Number(index), BigInt(offset)) : undefined;
    if (held === undefined || offset === undefined) throw new MillraceError("missing_config", `${who}: delivery ${id} is not out of the queue on ${topic} that the sink was made for`, { service });
    sessions.add(held.session);
    const share = offsets.get(held.partition) ?? new Set();
    offsets.set(held.partition, share.add(BigInt(offset)));
  }
  const [session] = sessions;
  if (session === undefined || sessions.size > 1) throw new MillraceError("missing_config", `${who}: the deliveries of a transaction are of one reading`, { service });
  return { session, shares: [...offsets].map(([partition, set]) => ({ partition, offsets: set })) };
}

/** Has a transaction settled them? */
export function areSettled({ shares }: Shares): boolean {
  return shares.every(({ partition, offsets }) => [...offsets].every((offset) => offset < partition.committed));
}

/** The places behind them. Throws where messages before them are not settled: to settle these would settle those too. */
export function placesBehind(who: string, { shares }: Shares): { readonly partition: Partition; readonly place: bigint }[] {
  return shares.map(({ partition, offsets }) => {
    const place = partition.placeBehind(offsets);
    if (place !== undefined) return { partition, place };
    throw new MillraceError("missing_config", `${who}: messages of partition ${partition.index} before these are not settled: say ordering: "strict"`, { service });
  });
}
