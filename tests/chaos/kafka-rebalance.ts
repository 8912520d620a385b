/**
 * Workers come, go and are killed all the while, so that partitions are on the move: nothing is lost, and each key keeps its order.
 *
 * @module
 */
import { keyOf, keys } from "./payload.ts";
import { type Given, result, type RowResult } from "./rows.ts";
import { play } from "./scene.ts";

const rounds = 20;
const kills = 5;
/** Milliseconds for all of it, at least: a minute, if all keys are worked on all the while. */
const leastMs = 60_000;

/** D-rebal: a worker joins and another leaves, twenty times; at every fourth of them one is killed, and another takes its place. */
export async function partitionsOnTheMove({ broker, server, messages }: Pick<Given, "broker" | "server" | "messages">): Promise<RowResult> {
  const deadlineMs = 3_000;
  const complaints: string[] = [];
  const played = await play({ broker, url: server.url, messages, settings: { byKey: true, workMs: Math.ceil((leastMs * keys) / messages) }, inOrder: true }, async ({ crew, oracle, reached }) => {
    for (let round = 1; round <= rounds; round += 1) {
      await reached(round / (rounds + 1));
      if (oracle.done >= messages) complaints.push(`all was done before round ${round}: shows nothing`);
      const [[stopped]] = await Promise.all([crew.stop(deadlineMs, 1), crew.hire()]);
      if (stopped === undefined) complaints.push("a worker ended without stopping");
      else if (stopped.ms > deadlineMs + 250) complaints.push(`a stop took ${Math.round(stopped.ms)} ms`);
      if (round % (rounds / kills) === 0) await crew.kill();
    }
  });
  const { killedInFlight, idleKills } = played.crew;
  const disorder = outOfOrder(played.oracle.firsts);
  if (disorder > 0) complaints.push(`${disorder} messages were worked on before one that lay before them under the same key`);
  if (idleKills > 0) complaints.push(`${idleKills} of ${kills} kills found nothing in flight: shows nothing`);
  const explained = `done, behind one that was not when its partition went, or in flight at the kills (${killedInFlight}); the first of each in the order of its key`;
  return result(`${rounds} workers join, ${rounds} leave, ${kills} are killed, 12 partitions`, messages, played, explained, complaints);
}

/** Messages that come after one of the same key that was sent later. */
export function outOfOrder(ids: readonly number[]): number {
  const last = new Map<string, number>();
  let count = 0;
  for (const id of ids) {
    const before = last.get(keyOf(id)) ?? -1;
    if (id < before) count += 1;
    else last.set(keyOf(id), id);
  }
  return count;
}
