/**
 * The graph of hierarchical navigable small worlds, laid out as FAISS lays it out (`faiss/impl/HNSW.h`).
 *
 * Malkov, Yashunin: "Efficient and robust approximate nearest neighbor search using HNSW graphs", 2016, https://arxiv.org/abs/1603.09320
 *
 * @module
 */

/** How a graph is built and searched. */
export interface HnswOptions {
  /** Neighbours of a row on the upper levels; on the lowest twice as many. 2 to 256. @default 32 */
  readonly m?: number;
  /** Candidates that are looked at for the neighbours of a new row, 1 to 10,000. @default 100 */
  readonly efConstruction?: number;
  /** Candidates that a query keeps, 1 to 10,000, or its limit if that is more. @default 64 */
  readonly efSearch?: number;
}

/** No neighbour: the rest of a list is empty. */
export const none = -1;

/** Rows and their neighbours on each level. Arrays may be longer than what is in use. */
export interface HnswGraph {
  /** How likely a row is on a level and on none above. */
  readonly probabilities: Float64Array;
  /** Neighbours of a row on all levels below this one. */
  readonly cumulative: Int32Array;
  readonly efConstruction: number;
  readonly efSearch: number;
  /** Rows in it. */
  count: number;
  /** On how many levels each row is. */
  levels: Int32Array;
  /** Where the neighbours of each row begin, and where those of the last one end. */
  offsets: Float64Array;
  neighbors: Int32Array;
  /** Where searches begin; -1 while there is no row. */
  entry: number;
  /** The uppermost level of it. */
  maxLevel: number;
}

/** A graph without rows. */
export function emptyGraph({ m, efConstruction, efSearch }: Required<HnswOptions>): HnswGraph {
  const probabilities: number[] = [];
  const cumulative = [0];
  for (let level = 0; ; level += 1) {
    // with the factor 1 / ln m of the paper, e^(-level / factor) is m^-level
    const probability = m ** -level * (1 - 1 / m);
    if (probability < 1e-9) break;
    probabilities.push(probability);
    cumulative.push((cumulative.at(-1) ?? 0) + (level === 0 ? 2 * m : m));
  }
  return {
    probabilities: Float64Array.from(probabilities),
    cumulative: Int32Array.from(cumulative),
    efConstruction,
    efSearch,
    count: 0,
    levels: new Int32Array(0),
    offsets: new Float64Array(1),
    neighbors: new Int32Array(0),
    entry: none,
    maxLevel: none,
  };
}

/** Makes room for the next row on as many levels as fall to it, and gives its uppermost one. */
export function addNode(graph: HnswGraph): number {
  const row = graph.count;
  const level = levelOf(row, graph.probabilities);
  const start = graph.offsets[row] ?? 0;
  const finish = start + (graph.cumulative[level + 1] ?? 0);
  if (row >= graph.levels.length) graph.levels = grown(graph.levels, row + 1);
  if (row + 1 >= graph.offsets.length) {
    const larger = new Float64Array(Math.ceil(graph.offsets.length * 1.5) + 1_024);
    larger.set(graph.offsets);
    graph.offsets = larger;
  }
  if (finish > graph.neighbors.length) graph.neighbors = grown(graph.neighbors, finish);
  graph.neighbors.fill(none, start, finish);
  graph.levels[row] = level + 1;
  graph.offsets[row + 1] = finish;
  graph.count += 1;
  return level;
}

/** Where the neighbours of a row on a level begin. */
export function neighborsStart({ offsets, cumulative }: HnswGraph, row: number, level: number): number {
  return (offsets[row] ?? 0) + (cumulative[level] ?? 0);
}

/** Places for neighbours on a level. */
export function neighborsSize({ cumulative }: HnswGraph, level: number): number {
  return (cumulative[level + 1] ?? 0) - (cumulative[level] ?? 0);
}

function grown(array: Int32Array, needed: number): Int32Array {
  const larger = new Int32Array(Math.max(needed, Math.ceil(array.length * 1.5)) + 1_024);
  larger.set(array);
  return larger;
}

/** By the number of the row, so that the same rows make the same graph. The mixing is the end of MurmurHash3. */
function levelOf(row: number, probabilities: Float64Array): number {
  let hash = Math.imul(row + 1, 0x9e3779b1);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  let left = ((hash ^ (hash >>> 16)) >>> 0) / 2 ** 32;
  const level = probabilities.findIndex((probability) => {
    if (left < probability) return true;
    left -= probability;
    return false;
  });
  return level < 0 ? probabilities.length - 1 : level;
}
