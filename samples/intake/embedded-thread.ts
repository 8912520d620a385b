/**
 * The thread of `embedded.ts`: one PGlite, asked one thing after the other.
 *
 * @module
 */
import { parentPort, workerData } from "node:worker_threads";
import { PGlite } from "@electric-sql/pglite";
import { vector } from "@electric-sql/pglite-pgvector";
import type { Answer, Question } from "./embedded.ts";

const answer = (message: Answer): void => parentPort?.postMessage(message);
const client = await PGlite.create(String(workerData), { extensions: { vector } });
parentPort?.on("message", (question: Question) => void ask(question));
answer({ id: 0 });

async function ask({ id, text, values }: Question): Promise<void> {
  try {
    if (text === undefined) await client.close();
    const rows = text === undefined ? [] : (await client.query(text, values === undefined ? undefined : [...values])).rows;
    answer({ id, rows });
  } catch (error) {
    // an error loses its own fields on the way between threads, and the code among them
    const { message } = error instanceof Error ? error : new Error(String(error));
    answer({ id, error: { ...JSON.parse(JSON.stringify(error)), message } });
  }
}
