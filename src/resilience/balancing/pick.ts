/**
 * Which of several endpoints gets the next call.
 *
 * @module
 */
import type { EndpointState } from "./endpoint.ts";

/** How endpoints are chosen. */
export type BalanceBy = "p2c" | "round-robin" | "least-loaded" | "hash";

/** What a choice may depend on. */
export interface PickContext {
  readonly nowMs: number;
  /** From 0 to 1. */
  readonly random: () => number;
  /** Of the call, for "hash". */
  readonly key: () => string;
}

/** A hashed endpoint gets no more than this many times its share: "Consistent hashing with bounded loads", Mirrokni et al. */
const loadBound = 1.25;

/** The strategies, by name; nothing without candidates. */
export const picks: Readonly<Record<BalanceBy, (candidates: readonly EndpointState[], context: PickContext) => EndpointState | undefined>> = {
  p2c,
  "round-robin": roundRobin,
  "least-loaded": leastLoaded,
  hash,
};

/** Two at random, then the one that promises the first content sooner. */
function p2c(candidates: readonly EndpointState[], { nowMs, random }: PickContext): EndpointState | undefined {
  const first = weighted(candidates, nowMs, random);
  const second = weighted(candidates.filter((state) => state !== first), nowMs, random);
  if (first === undefined || second === undefined) return first;
  const usualMs = usual(candidates, nowMs);
  const cost = (state: EndpointState): number => {
    const { inFlight, firstPartMs = usualMs } = state;
    const expectedMs = usualMs + (firstPartMs - usualMs) * state.freshness(nowMs);
    return (inFlight + 1) * Math.max(1, expectedMs); // at least a millisecond: where all answer at once, the less busy one is better
  };
  return cost(second) < cost(first) ? second : first;
}

/** Milliseconds to the first content, of all together; what is forgotten of one does not count. */
function usual(candidates: readonly EndpointState[], nowMs: number): number {
  let known = 0;
  let sumMs = 0;
  for (const state of candidates) {
    const freshness = state.freshness(nowMs);
    known += freshness;
    sumMs += freshness * (state.firstPartMs ?? 0);
  }
  return known === 0 ? 0 : sumMs / known;
}

/** One at random, by its share. */
function weighted(candidates: readonly EndpointState[], nowMs: number, random: () => number): EndpointState | undefined {
  let at = random() * candidates.reduce((sum, state) => sum + state.share(nowMs), 0);
  for (const state of candidates) {
    at -= state.share(nowMs);
    if (at < 0) return state;
  }
  return candidates.at(-1);
}

/** Each is owed its share of every turn, and the one that is owed most has its turn: it does not matter who comes or goes meanwhile. */
function roundRobin(candidates: readonly EndpointState[], { nowMs }: PickContext): EndpointState | undefined {
  let most: EndpointState | undefined;
  let turn = 0;
  for (const state of candidates) {
    const share = state.share(nowMs);
    turn += share;
    state.owed += share;
    if (most === undefined || state.owed > most.owed) most = state;
  }
  if (most !== undefined) most.owed -= turn;
  return most;
}

/** The fewest calls in progress for its share; among equals at random. */
function leastLoaded(candidates: readonly EndpointState[], { nowMs, random }: PickContext): EndpointState | undefined {
  const load = (state: EndpointState): number => (state.inFlight + 1) / state.share(nowMs);
  const least = Math.min(...candidates.map(load));
  return weighted(candidates.filter((state) => load(state) === least), nowMs, random);
}

/** Always the same for a key, while it has room: the highest of a score of key and endpoint, so that a change moves only its own keys. */
function hash(candidates: readonly EndpointState[], { nowMs, key }: PickContext): EndpointState | undefined {
  const name = key();
  const shares = candidates.reduce((sum, state) => sum + state.share(nowMs), 0);
  const calls = candidates.reduce((sum, state) => sum + state.inFlight, 1);
  const scores = candidates.map((state) => ({ state, score: -state.share(nowMs) / Math.log(fraction(`${name}\0${state.endpoint.id}`)) }));
  scores.sort((a, b) => b.score - a.score);
  const hasRoom = ({ state }: { readonly state: EndpointState }): boolean => state.inFlight < Math.ceil((loadBound * calls * state.share(nowMs)) / shares);
  return (scores.find(hasRoom) ?? scores[0])?.state;
}

/** A number between 0 and 1 for a string, the same everywhere: FNV-1a, then the last mixing steps of MurmurHash3. */
function fraction(text: string): number {
  let bits = 0x811c9dc5;
  for (let i = 0; i < text.length; i += 1) bits = Math.imul(bits ^ text.charCodeAt(i), 0x01000193);
  bits = Math.imul(bits ^ (bits >>> 16), 0x85ebca6b);
  bits = Math.imul(bits ^ (bits >>> 13), 0xc2b2ae35);
  return (((bits ^ (bits >>> 16)) >>> 0) + 1) / 4_294_967_298;
}
