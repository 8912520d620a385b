/**
 * Ten thousand readers that get nothing, or as many as a broker takes: a row for each kind.
 *
 * @module
 */
import { fork } from "node:child_process";
import { join } from "node:path";
import type { Idled } from "./idle.ts";
import { type IdleKind, idleKinds } from "./idle-kinds.ts";
import type { RowResult } from "./rows.ts";

const program = join(import.meta.dirname, "idle-process.ts");
/** Milliseconds between the two looks. */
const idleMs = 30_000;
/** Bytes by which the heap may differ between the looks, and after all have closed: what the clients' buffers and compiled code come to. */
const heapSlack = 4 * 2 ** 20;
/** Of the whole process while nothing comes. Some readers look by themselves now and then, and what that leaves is in it until pages are given back. */
const rssSlack = 128 * 2 ** 20;

/** Each kind of readers of a broker, all at once. */
export async function readersWait(service: string | undefined, url: string): Promise<readonly RowResult[]> {
  return Promise.all(idleKinds.filter((kind) => kind.service === service).map((kind) => readersOf(kind, url)));
}

/** What is wrong with it, if anything is. `slack` are bytes of heap. */
export function idleComplaints({ before, open, later, left, closed, due, received }: Idled, slack: number): readonly string[] {
  const grown = (what: string, bytes: number, most: number): string[] => (bytes > most ? [`${what} by ${bytes} bytes`] : []);
  return [
    ...grown("while waiting the heap grew", later.heap - open.heap, slack),
    ...grown("while waiting the process grew", later.rss - open.rss, rssSlack),
    ...grown("when all had closed the heap was larger", closed.heap - before.heap, slack),
    ...(later.sockets > open.sockets ? [`${later.sockets - open.sockets} more sockets while waiting`] : []),
    ...(left.listeners > 0 ? [`${left.listeners} listeners were left`] : []),
    ...(closed.sockets > before.sockets ? [`${closed.sockets - before.sockets} sockets were left`] : []),
    ...(closed.timers > before.timers ? [`${closed.timers - before.timers} timers were left`] : []),
    ...(received === due ? [] : [`${due} deliveries were due, and ${received} came`]),
  ];
}

async function readersOf({ title, readers }: IdleKind, url: string): Promise<RowResult> {
  const start = performance.now();
  const found = await readersIn({ title, url, readers, idleMs });
  const { before, open, later, closed, due, received, busy } = found;
  const mib = (bytes: number): string => (bytes / 2 ** 20).toFixed(1);
  const explained = [
    `${((open.heap - before.heap) / readers / 1_024).toFixed(1)} KiB of heap each, ${open.sockets - before.sockets} sockets`,
    `after ${idleMs / 1_000} s ${mib(later.heap - open.heap)} MiB more (${mib(later.rss - open.rss)} of the process), ${(busy * 100).toFixed(0)} % of a processor`,
    `when all had closed ${mib(closed.heap - before.heap)} MiB, ${closed.sockets - before.sockets} sockets`,
  ].join("; ");
  const seconds = (performance.now() - start) / 1_000;
  return { row: `${readers.toLocaleString("en")} ${title} that wait`, messages: due, lost: Math.max(0, due - received), duplicates: Math.max(0, received - due), explained, seconds, complaints: idleComplaints(found, heapSlack) };
}

/** What waits, and how long. */
export interface IdleSettings {
  readonly title: string;
  readonly url: string;
  readonly readers: number;
  readonly idleMs: number;
}

/** Lets them wait in a process of their own. */
export function readersIn({ title, url, readers, idleMs }: IdleSettings): Promise<Idled> {
  return new Promise((resolve, reject) => {
    const child = fork(program, [title, url, String(readers), String(idleMs)], { execArgv: ["--conditions=millrace-source"], stdio: ["ignore", "inherit", "inherit", "ipc"] });
    child.once("message", (found) => resolve(found as Idled)); // as the program sends it
    child.once("error", reject);
    child.once("exit", (code) => reject(new Error(`the process of ${title} ended with ${code}, and said nothing`)));
  });
}
