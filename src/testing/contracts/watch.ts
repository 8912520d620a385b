/**
 * What contracts wait for, and what they listen to meanwhile.
 *
 * @module
 */
import { systemClock } from "../../core/clock.ts";
import type { Part } from "../../core/part.ts";
import type { Context } from "../../core/processor.ts";
import { check } from "./check.ts";

/** Milliseconds after which something that must happen by itself has not happened: so that a contract fails instead of hanging. */
export const patienceMs = 20_000;

/** The promise; fails when it takes longer. */
export async function within<T>(ms: number, promise: PromiseLike<T>, what: string): Promise<T> {
  let cancel = (): void => {};
  const late = new Promise<never>((_, reject) => {
    cancel = systemClock.timeout(ms, () => reject(new Error(`contract: ${what}: nothing came of it in ${ms} ms`)));
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    cancel();
  }
}

/** Waits until it holds; fails when it takes longer. */
export async function eventually(ms: number, holds: () => boolean, what: string): Promise<void> {
  const until = systemClock.now() + ms;
  while (!holds()) {
    check(systemClock.now() < until, `${what}: not so after ${ms} ms`);
    await turn();
  }
}

/** Lets the event loop go round, so that what was started by now shows. */
export async function turn(): Promise<void> {
  for (let round = 0; round < 2; round += 1) await new Promise<void>((resolve) => systemClock.timeout(0, resolve));
}

/** Runs a test; fails when a promise was rejected meanwhile that nobody handled. */
export async function unheard(test: () => Promise<void>): Promise<void> {
  const rejections: unknown[] = [];
  const hear = (reason: unknown): void => void rejections.push(reason);
  // Node, Bun and Deno have it; elsewhere the runner itself may tell
  const { process } = globalThis as { readonly process?: Pick<NodeJS.Process, "on" | "off"> };
  process?.on("unhandledRejection", hear);
  try {
    await test();
    await turn();
  } finally {
    process?.off("unhandledRejection", hear);
  }
  const [first] = rejections;
  check(rejections.length === 0, `${rejections.length} rejections that nobody handled, the first: ${first instanceof Error ? first.message : String(first)}`);
}

/** A context as a run gives it. */
export function contextOf(signal: AbortSignal): Context {
  return { signal, correlationId: "contract", runId: "contract", state: new Map(), waitUntil: () => {} };
}

/** A signal that counts its listeners. */
export function countedSignal(): { readonly controller: AbortController; readonly listeners: () => number } {
  const controller = new AbortController();
  const { signal } = controller;
  const known = new Set<unknown>();
  const add = signal.addEventListener.bind(signal);
  const remove = signal.removeEventListener.bind(signal);
  Object.assign(signal, {
    addEventListener(...args: Parameters<typeof add>) {
      known.add(args[1]);
      add(...args);
    },
    removeEventListener(...args: Parameters<typeof remove>) {
      known.delete(args[1]);
      remove(...args);
    },
  });
  return { controller, listeners: () => known.size };
}

/** Freezes a part as deep as it goes, but for bytes, which no engine freezes. */
export function frozen<T>(value: T): T {
  if (typeof value !== "object" || value === null || ArrayBuffer.isView(value)) return value;
  for (const inner of Object.values(value)) frozen(inner);
  return Object.freeze(value);
}

/** All parts, and how it ended. */
export async function outcomeOf(parts: AsyncIterable<Part>): Promise<{ readonly parts: readonly Part[]; readonly error?: unknown }> {
  const all: Part[] = [];
  try {
    for await (const part of parts) all.push(part);
  } catch (error) {
    return { parts: all, error };
  }
  return { parts: all };
}

/** A stream of parts that is no run: what it is handed to must do by itself what a run would do for it. */
export async function* streamOf(...parts: readonly Part[]): AsyncGenerator<Part> {
  yield* parts;
}
