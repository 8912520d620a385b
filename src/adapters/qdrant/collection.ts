/**
 * A collection of Qdrant: what it is made of, and whether one that is there will do.
 *
 * @module
 */
import { MillraceError, received } from "../../core/errors.ts";
import type { VectorMetric } from "../../kinds/vector-store.ts";
import { fieldOf } from "../../wire/error-fields.ts";
import { shapeOf } from "../../wire/json-shape.ts";

/** The service's words for metrics. */
export const distances: Readonly<Record<VectorMetric, "Cosine" | "Dot" | "Euclid">> = { cosine: "Cosine", dot: "Dot", l2: "Euclid" };

/** What the options say of vectors. */
export interface CollectionShape {
  readonly service: string;
  readonly dimensions: number;
  readonly metric: VectorMetric;
}

/** What the service is told to make: a vector without a name, and the words of texts for hybrid queries. */
export function toCollection({ dimensions, metric }: CollectionShape, hybrid: boolean): object {
  const words = hybrid ? { sparse_vectors: { words: { modifier: "idf" } } } : {};
  return { vectors: { size: dimensions, distance: distances[metric] }, ...words };
}

/** Throws `conflict` where the collection holds other vectors than the options say. */
export function checkCollection(info: unknown, { service, dimensions, metric }: CollectionShape, hybrid: boolean, collection: string): void {
  const params = fieldOf(fieldOf(info, "config"), "params");
  const vectors = shapeOf(fieldOf(params, "vectors"));
  const [size, distance] = [vectors?.["size"], vectors?.["distance"]];
  const conflict = (what: string): MillraceError => new MillraceError("conflict", `${service}: ${received(collection)} ${what}`, { service, scope: "process" });
  if (size !== dimensions || distance !== distances[metric]) {
    const named = vectors !== undefined && size === undefined;
    const held = named ? `vectors with names (${Object.keys(vectors).join(", ")})` : `vectors of ${String(size)} dimensions by ${String(distance)}`;
    throw conflict(`holds ${held}, the options say ${dimensions} by ${distances[metric]}`);
  }
  if (hybrid && fieldOf(fieldOf(fieldOf(params, "sparse_vectors"), "words"), "modifier") !== "idf") {
    throw conflict(`was made without a sparse vector "words" with idf; say hybrid: false, or make it anew`);
  }
}
