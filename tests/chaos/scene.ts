/**
 * What all rows share: messages are sent and worked on while something goes wrong, then the account is made.
 *
 * @module
 */
import { randomUUID } from "node:crypto";
import type { Broker } from "./brokers.ts";
import { Crew } from "./crew.ts";
import type { WorkerSettings } from "./messages.ts";
import { type Account, Oracle } from "./oracle.ts";
import type { Kind } from "./payload.ts";
import { sendAll, sendInOrder } from "./senders.ts";

/** Milliseconds without anything written after which what is missing is lost. */
const patienceMs = 60_000;
/** Milliseconds in which a fresh message has to get through afterwards. */
const freshMs = 10_000;
const workers = 2;

/** What is done, and with what. */
export interface Scene {
  readonly broker: Broker;
  /** Where senders and workers find the broker: itself, or a proxy. */
  readonly url: string;
  readonly messages: number;
  readonly kindOf?: (id: number) => Kind;
  /** Messages that wait for a worker, at most. @default no limit */
  readonly ahead?: number;
  /** Messages that are never written, since they are bad. */
  readonly unwritten?: number;
  readonly settings?: Partial<WorkerSettings>;
  /** Of one key, messages are sent one after the other. */
  readonly inOrder?: boolean;
}

/** What can be done while a scene is played. */
export interface Stage {
  readonly crew: Crew;
  readonly oracle: Oracle;
  readonly name: string;
  /** Resolves when this share of the messages was written; also when nothing moves any more. */
  reached(share: number): Promise<void>;
}

/** How it went. */
export interface Played extends Account {
  readonly seconds: number;
  readonly crew: Crew;
  readonly oracle: Oracle;
  readonly name: string;
  readonly complaints: readonly string[];
}

export const maxInFlight = 100;

/** Plays a scene. */
export async function play({ broker, url, messages, kindOf, ahead, unwritten = 0, settings, inOrder = false }: Scene, during: (stage: Stage) => Promise<void>): Promise<Played> {
  const name = `chaos-${randomUUID().slice(0, 8)}`;
  await broker.setup(url, name);
  const oracle = new Oracle();
  const base = { broker: broker.service, url, name, concurrency: 50, maxInFlight, workMs: 5, slowMs: 1_000, deliveryTimeoutMs: 20_000 };
  const crew = new Crew(oracle, { ...base, ...settings });
  const start = performance.now();
  /** Waits until something holds, as long as messages are being written. */
  const until = async (holds: () => boolean): Promise<void> => {
    let since = performance.now();
    for (let before = oracle.done; !holds() && performance.now() - since < patienceMs; before = oracle.done) {
      await oracle.news(500);
      if (oracle.done > before) since = performance.now();
    }
  };
  const reached = (share: number): Promise<void> => until(() => oracle.done >= (messages - unwritten) * share);
  try {
    await Promise.all(Array.from({ length: workers }, () => crew.hire()));
    const open = () => broker.queue(url, name);
    const sending = inOrder ? sendInOrder(oracle, open, messages) : sendAll(oracle, open, { first: 0, count: messages, kindOf, ahead });
    await Promise.all([sending, during({ crew, oracle, name, reached })]);
    await until(() => oracle.left <= unwritten);
    const seconds = (performance.now() - start) / 1_000;
    const account = oracle.account();
    const complaints = [...crew.failures];
    if (!(await fresh(oracle, broker, url, name, messages))) complaints.push(`a fresh message did not get through within ${freshMs / 1_000} s`);
    await crew.stop(5_000);
    return { ...account, lost: account.lost - unwritten, seconds, crew, oracle, name, complaints: [...complaints, ...crew.failures.slice(complaints.length)] };
  } finally {
    await crew.dismiss();
  }
}

async function fresh(oracle: Oracle, broker: Broker, url: string, name: string, id: number): Promise<boolean> {
  const until = performance.now() + freshMs;
  await sendAll(oracle, () => broker.queue(url, name), { first: id, count: 1 });
  while (!oracle.wrote(id) && performance.now() < until) await oracle.news(100);
  return oracle.wrote(id);
}
