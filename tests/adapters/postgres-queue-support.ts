/**
 * What the tests of the queue in Postgres share.
 *
 * @module
 */
export { memoryQueue } from "../../src/adapters/memory/index.ts";
export { postgres, postgresQueue, type PostgresQueue, type PostgresQueueOptions } from "../../src/adapters/postgres/index.ts";

/** Waits, turn by turn, until something holds that shows in this process. */
export async function soon(isSo: () => boolean): Promise<void> {
  for (let turn = 0; turn < 4_000; turn += 1) {
    if (isSo()) return;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  throw new Error("it has not come about");
}
