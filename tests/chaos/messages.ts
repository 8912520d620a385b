/**
 * What the oracle and its workers say to each other.
 *
 * @module
 */

/** How a worker is started. */
export interface WorkerSettings {
  readonly broker: string;
  readonly url: string;
  readonly name: string;
  readonly deadName?: string;
  readonly concurrency: number;
  readonly maxInFlight: number;
  /** Milliseconds that each message takes, and that a slow one takes. */
  readonly workMs: number;
  readonly slowMs: number;
  readonly deliveryTimeoutMs: number;
  /** A Postgres with a table `effects`, to which everything is written in one transaction with the id of the message. */
  readonly effectsUrl?: string;
  /** Messages of one key are worked on one after the other. */
  readonly byKey?: boolean;
  /** A topic to which everything is written in transactions with the places of what it comes from, of so many messages each. */
  readonly transactions?: { readonly topic: string; readonly count: number };
  /** Which of the workers it is; one that takes the place of another has its number. */
  readonly seat?: number;
}

export type FromWorker =
  | { readonly kind: "ready" }
  /** -1: what nobody can have sent. */
  | { readonly kind: "wrote"; readonly ids: readonly number[]; readonly number: number }
  /** All outputs are made; a transaction of them is about to be sent and committed. */
  | { readonly kind: "commits" }
  | { readonly kind: "in flight"; readonly count: number; readonly lost: number }
  | { readonly kind: "stopped"; readonly ms: number; readonly acked: number; readonly nacked: number; readonly deadLettered: number; readonly abandoned: number }
  | { readonly kind: "failed"; readonly why: string };

export type ToWorker = { readonly kind: "heard"; readonly number: number } | { readonly kind: "stop"; readonly deadlineMs: number };
