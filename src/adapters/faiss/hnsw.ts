/**
 * Searching a graph of rows, and adding to it, as `faiss/impl/HNSW.cpp` does: a graph of either may be continued by the other.
 *
 * @module
 */
import { type Heap, heap } from "./heap.ts";
import { addNode, type HnswGraph, neighborsSize, neighborsStart, none } from "./hnsw-graph.ts";
import { blockRows, placed, type VectorRows } from "./rows.ts";

/** When a full list of neighbours is cut, this share of it stays free for those to come (`prune_headroom`). */
const headroom = 0.2;

/** A graph over rows. */
export interface Hnsw {
  readonly graph: HnswGraph;
  /** Adds the rows that are not in the graph yet. */
  extend(): void;
  /** Rows near a vector, of those wanted, closest first; at most `limit`, and fewer where the graph leads to no more. */
  near(query: Float32Array, limit: number, isWanted: (row: number) => boolean): readonly number[];
}

/** Searches and extends this graph. */
export function hnsw(rows: VectorRows, graph: HnswGraph): Hnsw {
  /** When a row was last seen, in numbers of searches: nothing has to be cleared between two. */
  let seen = new Uint32Array(0);
  let search = 0;

  const distance = (from: number, to: number): number => {
    rows.list[0] = to;
    rows.measure(from, 1);
    return rows.out[0] ?? 0;
  };
  /** Puts neighbours of a row into the rows' list: all, or those that this search has not seen. */
  const gather = (row: number, level: number, onlyNew: boolean): number => {
    const { list } = rows;
    const { neighbors } = graph;
    const start = neighborsStart(graph, row, level);
    const finish = start + neighborsSize(graph, level);
    let size = 0;
    for (let i = start; i < finish; i += 1) {
      const neighbor = neighbors[i] ?? none;
      if (neighbor === none) break;
      if (onlyNew && seen[neighbor] === search) continue;
      seen[neighbor] = search;
      list[size] = neighbor;
      size += 1;
    }
    return size;
  };
  /** Walks to ever nearer neighbours on a level, as long as there are. */
  const descend = (from: number, start: number, level: number): number => {
    let nearest = start;
    let best = distance(from, nearest);
    for (let moved = true; moved; ) {
      moved = false;
      const size = gather(nearest, level, false);
      rows.measure(from, size);
      for (let i = 0; i < size; i += 1) {
        const value = rows.out[i] ?? 0;
        if (value < best) [best, nearest, moved] = [value, rows.list[i] ?? 0, true];
      }
    }
    return nearest;
  };
  /** The nearest on a level that a search with `width` candidates meets: the farthest first, by negative keys. */
  const explore = (from: number, start: number, level: number, width: number, isWanted: (row: number) => boolean): Heap => {
    if (seen.length < graph.count) seen = new Uint32Array(Math.ceil(graph.count * 1.5));
    search += 1;
    if (search === 2 ** 32) {
      seen.fill(0);
      search = 1;
    }
    const open = heap();
    const found = heap();
    const meet = (row: number, value: number): void => {
      if (found.size >= width && value >= 0 - found.key) return;
      open.push(value, row);
      if (!isWanted(row)) return; // the way may lead over it
      found.push(0 - value, row);
      if (found.size > width) found.pop();
    };
    const { list, out } = rows;
    seen[start] = search;
    meet(start, distance(from, start));
    while (open.size > 0 && (found.size < width || open.key <= 0 - found.key)) {
      const size = gather(open.pop(), level, true);
      rows.measure(from, size);
      for (let i = 0; i < size; i += 1) meet(list[i] ?? 0, out[i] ?? 0);
    }
    return found;
  };
  /** Of these rows those that no kept one is nearer to than `from` is: so the list points in many directions. */
  const diverse = (from: number, closestFirst: readonly number[], most: number): readonly number[] => {
    const { list, out } = rows;
    const own = new Float32Array(closestFirst.length);
    for (let start = 0; start < own.length; start += blockRows) {
      const size = Math.min(blockRows, own.length - start);
      for (let i = 0; i < size; i += 1) list[i] = closestFirst[start + i] ?? 0;
      rows.measure(from, size);
      own.set(out.subarray(0, size), start);
    }
    const kept: number[] = [];
    for (let at = 0; at < own.length && kept.length < most; at += 1) {
      for (let i = 0; i < kept.length; i += 1) list[i] = kept[i] ?? 0;
      rows.measure(closestFirst[at] ?? 0, kept.length);
      let isNew = true;
      for (let i = 0; i < kept.length && isNew; i += 1) isNew = (out[i] ?? 0) >= (own[at] ?? 0);
      if (isNew) kept.push(closestFirst[at] ?? 0);
    }
    return kept;
  };
  const link = (row: number, to: number, level: number): void => {
    const start = neighborsStart(graph, row, level);
    const size = neighborsSize(graph, level);
    let used = size;
    while (used > 0 && graph.neighbors[start + used - 1] === none) used -= 1;
    if (used < size) {
      graph.neighbors[start + used] = to;
      return;
    }
    const ordered = heap();
    const length = gather(row, level, false);
    rows.list[length] = to;
    rows.measure(row, length + 1);
    for (let i = 0; i <= length; i += 1) ordered.push(rows.out[i] ?? 0, rows.list[i] ?? 0);
    const kept = diverse(row, drained(ordered), Math.ceil(size * (1 - headroom)));
    graph.neighbors.fill(none, start, start + size);
    graph.neighbors.set(kept, start);
  };
  const all = (): boolean => true;
  const add = (row: number): void => {
    const level = addNode(graph);
    let nearest = graph.entry;
    if (nearest !== none) {
      for (let at = graph.maxLevel; at > level; at -= 1) nearest = descend(row, nearest, at);
      for (let at = Math.min(level, graph.maxLevel); at >= 0; at -= 1) {
        const closestFirst = drained(explore(row, nearest, at, graph.efConstruction, all)).reverse();
        const chosen = diverse(row, closestFirst, neighborsSize(graph, at));
        graph.neighbors.set(chosen, neighborsStart(graph, row, at));
        for (const other of chosen) link(other, row, at);
        nearest = closestFirst[0] ?? nearest;
      }
    }
    if (level > graph.maxLevel) [graph.entry, graph.maxLevel] = [row, level];
  };

  return {
    graph,
    extend() {
      while (graph.count < rows.count) add(graph.count);
    },
    near(query, limit, isWanted) {
      let nearest = graph.entry;
      if (nearest === none) return [];
      rows.place(query);
      for (let level = graph.maxLevel; level > 0; level -= 1) nearest = descend(placed, nearest, level);
      return drained(explore(placed, nearest, 0, Math.max(graph.efSearch, limit), isWanted)).reverse().slice(0, limit);
    },
  };
}

function drained(from: Heap): number[] {
  const values: number[] = [];
  while (from.size > 0) values.push(from.pop());
  return values;
}
