/**
 * The graph of a file, checked so that no search can leave it.
 *
 * @module
 */
import { type ByteSource, damaged } from "./byte-source.ts";
import { type HnswGraph, neighborsSize, neighborsStart, none } from "./hnsw-graph.ts";
import { blockRows } from "./rows.ts";
import { int, ints, length } from "./words.ts";

/** Reads the graph of `count` rows. */
export async function readGraph(source: ByteSource, count: number): Promise<HnswGraph> {
  const probabilities = new Float64Array((await ints(source, await length(source, 8), 2)).buffer);
  const cumulative = await ints(source, await length(source, 4));
  const levels = await ints(source, await length(source, 4));
  const offsets = Float64Array.from(new BigUint64Array((await ints(source, await length(source, 8), 2)).buffer), Number);
  const neighbors = await ints(source, await length(source, 4));
  const [entry, maxLevel, efConstruction, efSearch] = [await int(source), await int(source), await int(source), await int(source)];
  await int(source); // not used any more
  const graph = { probabilities, cumulative, levels, offsets, neighbors, entry, maxLevel, efConstruction, efSearch, count };
  const fault = faultOf(graph);
  if (fault !== undefined) throw damaged(source.who, fault);
  return graph;
}

function faultOf(graph: HnswGraph): string | undefined {
  const { probabilities, cumulative, levels, offsets, neighbors, count, entry, maxLevel } = graph;
  const most = cumulative.length - 1;
  if (cumulative[0] !== 0 || most < 1 || probabilities.length > most) return "the levels of its graph";
  for (let level = 0; level < most; level += 1) {
    const size = neighborsSize(graph, level);
    if (size < 1 || size >= blockRows) return `${size} neighbours on level ${level}`;
  }
  if (levels.length !== count || offsets.length !== count + 1 || offsets[0] !== 0 || offsets[count] !== neighbors.length) return "the size of its graph";
  for (let row = 0; row < count; row += 1) {
    const top = levels[row] ?? 0;
    if (top < 1 || top > most || (offsets[row + 1] ?? 0) - (offsets[row] ?? 0) !== cumulative[top]) return `the place of row ${row} in its graph`;
    for (let level = 0; level < top; level += 1) {
      const start = neighborsStart(graph, row, level);
      for (let at = start; at < start + neighborsSize(graph, level); at += 1) {
        const neighbor = neighbors[at] ?? none;
        if (neighbor === none) break;
        if ((levels[neighbor] ?? 0) <= level) return `a neighbour of row ${row} in its graph`;
      }
    }
  }
  if (count === 0) return entry === none ? undefined : "the entry of its graph";
  return entry < 0 || entry >= count || maxLevel < 0 || levels[entry] !== maxLevel + 1 ? "the entry of its graph" : undefined;
}
