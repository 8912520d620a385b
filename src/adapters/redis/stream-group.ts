/**
 * A group of readers of a stream: what is asked of the server, and its answers.
 *
 * @module
 */
import { MillraceError, received } from "../../core/errors.ts";
import { service } from "./client.ts";
import { isGroupGone } from "./errors.ts";
import type { Link } from "./link.ts";
import * as scripts from "./stream-scripts.ts";

/** A message as it stands in the stream. */
export class Entry {
  readonly id: string;
  /** Deliveries that counted, this one included. */
  readonly attempt: number;
  /** Its fields as they came: name, value, name, value … */
  readonly fields: readonly Uint8Array[];
  /** `undefined` for one that another program has added in another form. */
  body: Uint8Array | undefined = undefined;
  /** Milliseconds since 1970, by the server's clock. */
  dueMs: number | undefined = undefined;

  constructor(id: string, attempt: number, fields: readonly Uint8Array[]) {
    this.id = id;
    this.attempt = attempt;
    this.fields = fields;
  }
}

/** What was taken over. */
export interface Taken {
  readonly entries: readonly Entry[];
  /** Messages that were trimmed away while they were unsettled. */
  readonly gone: number;
  /** Milliseconds until the next is due, if any is. */
  readonly nextMs: number | undefined;
}

/** What was acknowledged: for each whether the consumer still had it; and what was read in the same step. */
export interface Acked {
  readonly had: readonly boolean[];
  readonly entries: readonly Entry[];
}

/** What was given back, or prolonged: for each whether the consumer still had it; and how many of all were trimmed away meanwhile. */
export interface Moved {
  readonly had: readonly boolean[];
  readonly gone: number;
}

/** Which group, and how it is kept. */
export interface GroupSettings {
  readonly stream: string;
  readonly group: string;
  readonly start: "0" | "$";
  /** Field of an entry that holds the body. */
  readonly field: string;
  readonly leaseMs: number;
  /** Consumers of ours that hold nothing, and that the server has not heard for so many milliseconds, are removed. */
  readonly deadMs: number;
  readonly trim: boolean;
}

/** To look at one of several takes the server as long as to be asked for so many one by one (measured with Redis 7.0). */
const oneByOne = 3;

const encoder = new TextEncoder();
const decoder = new TextDecoder();
const dueName = encoder.encode(scripts.dueField);

/** A group. Every call but the blocking read goes by the way that all readers share. */
export class StreamGroup {
  private readonly settings: GroupSettings;
  private readonly link: Link;
  private readonly later: string;
  private readonly floor: string;
  private readonly bodyName: Uint8Array;
  /** It was there once. */
  private known = false;

  constructor(settings: GroupSettings, link: Link) {
    const { stream, group } = settings;
    this.settings = settings;
    this.link = link;
    this.bodyName = encoder.encode(settings.field);
    // braces: the part of a key that says on which node of a cluster it is
    this.later = `{${stream}}:${group}:later`;
    this.floor = `{${stream}}:${group}:floor`;
  }

  async send(body: Uint8Array, delayMs: number, signal: AbortSignal | undefined): Promise<string> {
    const { stream, field } = this.settings;
    const options = { signal, once: true };
    const id = delayMs === 0
      ? await this.link.call("send", ["XADD", stream, "*", field, body], options)
      : await this.link.run(scripts.addLater, [stream], [String(delayMs), field, body], options);
    return textOf(id);
  }

  /** Makes the group where there is none; gives whether there was one before that has gone. */
  async ensure(): Promise<boolean> {
    const { stream, group, start } = this.settings;
    const { known } = this;
    // of one that was there it is noted where it began: without that note all its keys went, and what the stream holds came later
    const made = (await this.link.run(scripts.ensure, [stream, this.floor], [group, known ? "0" : start])) === 1;
    this.known = true;
    return made && known;
  }

  /** New messages, by a connection of the reader's own; waits for them up to `blockMs`, not at all if that is 0. */
  async read(link: Link, consumer: string, count: number, blockMs: number): Promise<readonly Entry[]> {
    const { stream, group } = this.settings;
    const block = blockMs > 0 ? ["BLOCK", String(blockMs)] : [];
    const answer = await link.call("read", ["XREADGROUP", "GROUP", group, consumer, "COUNT", String(count), ...block, "STREAMS", stream, ">"]);
    if (answer === null) return [];
    const [[, entries]] = listOf(answer).map(listOf) as [unknown[]]; // one stream was asked for
    return this.newOf(entries);
  }

  /** What is due, and with `others` what somebody has held for too long. A message that says a later time is put back. */
  async take(consumer: string, room: number, others: boolean): Promise<Taken> {
    const { stream, group, leaseMs } = this.settings;
    const args = [group, consumer, scripts.waiting, String(room), String(leaseMs), others ? "1" : "0"];
    return this.dueOf(consumer, await this.link.run(scripts.take, [stream, this.later], args));
  }

  /** What the consumer has without knowing. */
  async own(consumer: string, known: Iterable<string>): Promise<Taken> {
    const { stream, group } = this.settings;
    return this.dueOf(consumer, await this.link.run(scripts.own, [stream], [group, consumer, ...known]));
  }

  /** Acknowledges, of so many that the consumer has, and reads up to `count` new messages. */
  async ack(consumer: string, ids: readonly string[], held: number, count: number): Promise<Acked> {
    const { stream, group } = this.settings;
    const atOnce = ids.length * oneByOne > held ? held : 0;
    try {
      const [done, read] = listOf(await this.link.run(scripts.ack, [stream], [group, consumer, String(atOnce), String(count), ...ids]));
      return { had: listOf(done).map((one) => one === 1), entries: this.newOf(read) };
    } catch (error) {
      if (isGroupGone(error)) return { had: ids.map(() => false), entries: [] };
      throw error;
    }
  }

  /** Gives back, to be due after a while. */
  async giveBack(consumer: string, ids: readonly string[], delayMs: number, counted: boolean): Promise<Moved> {
    const { stream, group } = this.settings;
    const args = [group, consumer, scripts.waiting, String(delayMs), counted ? "0" : "1", ...ids];
    return this.moved(this.link.run(scripts.giveBack, [stream, this.later], args), ids);
  }

  /** Lets the lease end so many milliseconds from now. */
  async extend(consumer: string, id: string, ms: number): Promise<Moved> {
    const { stream, group, leaseMs } = this.settings;
    return this.moved(this.link.run(scripts.extend, [stream], [group, consumer, id, String(leaseMs - ms)]), [id]);
  }

  /** Gives back all that the consumer has, and removes it; gives how many of them were trimmed away. */
  async leave(consumer: string, handed: readonly string[]): Promise<number> {
    const { stream, group } = this.settings;
    return Number(await this.link.run(scripts.leave, [stream, this.later], [group, consumer, scripts.waiting, ...handed]));
  }

  async sweep(): Promise<void> {
    const { stream, group, trim, deadMs } = this.settings;
    await this.link.run(scripts.sweep, [stream, this.floor], [group, trim ? "1" : "0", scripts.consumerPrefix, String(deadMs)]);
  }

  /** Wakes a connection that waits for messages; false if it does not wait yet. Where that is not allowed, it wakes by itself within a second. */
  async unblock(connectionId: string): Promise<boolean> {
    return (await this.link.call("wake", ["CLIENT", "UNBLOCK", connectionId]).catch(() => 1)) !== 0;
  }

  /** Lets messages wait for the time that they say; they have not been handed out. Gives how many of them were trimmed away. */
  async postpone(consumer: string, entries: readonly Entry[]): Promise<number> {
    if (entries.length === 0) return 0;
    const { stream, group } = this.settings;
    const times = entries.flatMap(({ id, dueMs }) => [String(dueMs ?? 0), id]);
    return Number(await this.link.run(scripts.postpone, [stream, this.later], [group, consumer, scripts.waiting, ...times]));
  }

  private async dueOf(consumer: string, answer: unknown): Promise<Taken> {
    const [gone, nextMs, nowMs, taken] = listOf(answer);
    const entries = listOf(taken).map((entry) => {
      const [id, attempt, fields] = listOf(entry);
      return this.entryOf(id, Number(attempt), fields);
    });
    const atMs = Number(textOf(nowMs));
    const early = entries.filter(({ dueMs }) => dueMs !== undefined && dueMs > atMs);
    const goneEarly = await this.postpone(consumer, early);
    const waitMs = Number(textOf(nextMs));
    return { entries: entries.filter((entry) => !early.includes(entry)), gone: Number(gone) + goneEarly, nextMs: waitMs < 0 ? undefined : waitMs };
  }

  private newOf(entries: unknown): readonly Entry[] {
    return listOf(entries).map((entry) => {
      const [id, fields] = listOf(entry);
      return this.entryOf(id, 1, fields);
    });
  }

  private entryOf(id: unknown, attempt: number, kept: unknown): Entry {
    const fields = listOf(kept).map(bytesOf);
    const entry = new Entry(textOf(id), attempt, fields);
    for (let at = 0; at + 1 < fields.length; at += 2) {
      const name = fields[at];
      if (isSame(name, this.bodyName)) entry.body = fields[at + 1];
      else if (isSame(name, dueName)) entry.dueMs = Number(textOf(fields[at + 1])) || undefined;
    }
    return entry;
  }

  /** Where the group is gone, nobody has anything any more. */
  private async moved(answer: Promise<unknown>, ids: readonly string[]): Promise<Moved> {
    try {
      const [done, gone] = listOf(await answer);
      return { had: listOf(done).map((one) => one === 1), gone: Number(gone) };
    } catch (error) {
      if (isGroupGone(error)) return { had: ids.map(() => false), gone: 0 };
      throw error;
    }
  }
}

// --- shapes: only the fields we read ---

function listOf(value: unknown): readonly unknown[] {
  if (Array.isArray(value)) return value;
  throw new MillraceError("bad_response", `${service}: needs a list, got ${received(value)}`, { service });
}

function bytesOf(value: unknown): Uint8Array {
  if (value instanceof Uint8Array) return value;
  throw new MillraceError("bad_response", `${service}: needs bytes, got ${received(value)}`, { service });
}

function isSame(some: Uint8Array | undefined, other: Uint8Array): boolean {
  return some?.length === other.length && some.every((byte, at) => byte === other[at]);
}

/** Ids and numbers, whose letters are one byte each. */
function textOf(value: unknown): string {
  return typeof value === "string" ? value : decoder.decode(bytesOf(value));
}
