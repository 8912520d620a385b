/**
 * One tenant's share of a vector store.
 *
 * @module
 */
import { invalidOption, MillraceError } from "../core/errors.ts";
import type { Metadata } from "../core/part.ts";
import { noMetadata } from "../core/part.ts";
import type { VectorFilter } from "./vector-filter.ts";
import { requireVectorStore, type VectorEntry, type VectorRecord, type VectorStore } from "./vector-store.ts";

/** The field of the stored metadata that says whose a record is. */
const field = "namespace";

/**
 * A view of a store that sees and touches the records of one namespace alone, whatever ids and filters it is asked with.
 *
 * Stored ids begin with the namespace, stored metadata carries it, and every filter is met only within it. Results show neither.
 *
 * Throws: `invalid_input` for a namespace other than 1 to 64 letters, digits, `.`, `_` and `-`, and for metadata that has a field
 *         `namespace` of its own; whatever the store throws.
 * Closes: the view alone; the store belongs to the caller.
 *
 * @example
 * await using store = memoryVectorStore({ dimensions: 2 });
 * const [ours, theirs] = [namespaced(store, "ours"), namespaced(store, "theirs")];
 * await ours.upsert([{ id: "a", vector: Float32Array.of(1, 0) }]);
 * console.log(await ours.count(), await theirs.count()); // 1 0
 */
export function namespaced(store: VectorStore, namespace: string): VectorStore {
  requireVectorStore("namespaced", store);
  if (typeof namespace !== "string" || !/^[A-Za-z0-9._-]{1,64}$/.test(namespace)) {
    throw invalidOption("namespaced", "namespace", "1 to 64 letters, digits, '.', '_' and '-'", namespace);
  }
  const own: VectorFilter = { eq: [field, namespace] };
  const prefix = `${namespace}/`;
  const within = (filter: VectorFilter | undefined): VectorFilter => (filter === undefined ? own : { and: [own, filter] });
  const inside = (ids: readonly string[]): readonly string[] => (Array.isArray(ids) ? ids.map((id: unknown) => prefixed(prefix, id)) : ids);
  const mark = (record: VectorRecord): VectorRecord => ({ ...record, id: prefixed(prefix, record.id), metadata: marked(record, namespace) });
  const bare = <E extends VectorEntry>(entry: E): E => ({ ...entry, id: entry.id.slice(prefix.length), metadata: withoutField(entry.metadata) });
  const { replace } = store;
  let closed = false;
  const open = (): VectorStore => {
    if (closed) throw new MillraceError("closed", `namespaced: the view of ${namespace} is closed`);
    return store;
  };
  const close = async (): Promise<void> => {
    closed = true;
  };

  return {
    service: store.service,
    get dimensions() {
      return store.dimensions;
    },
    metric: store.metric,
    lacks: store.lacks,
    setup: async (context) => open().setup(context),
    upsert: async (records, context) => open().upsert(records.map(mark), context),
    query: async (query, context) => (await open().query({ ...query, filter: within(query.filter) }, context)).map(bare),
    get: async (ids, context) => (await open().get(inside(ids), context)).map(bare),
    async delete(selection, context) {
      if (typeof selection === "object" && selection !== null) {
        if ("ids" in selection && !("filter" in selection)) return open().delete({ ids: inside(selection.ids) }, context);
        if ("filter" in selection && !("ids" in selection)) return open().delete({ filter: within(selection.filter) }, context);
      }
      throw invalidOption(store.service, "delete", "ids or a filter", selection);
    },
    count: async (filter, context) => open().count(within(filter), context),
    ...(replace === undefined
      ? {}
      : { replace: async (filter, records, context) => replace.call(open(), within(filter), records.map(mark), context) }),
    close,
    [Symbol.asyncDispose]: close,
  };
}

/** Only a non-empty text gets the prefix: an empty id must be refused with it as without it. */
function prefixed(prefix: string, id: unknown): string {
  if (typeof id === "string" && id !== "") return prefix + id;
  throw invalidOption("namespaced", "id", "text that is not empty", id);
}

function marked({ id, metadata = noMetadata }: VectorRecord, namespace: string): Metadata {
  if (Object.hasOwn(metadata, field)) {
    throw new MillraceError("invalid_input", `namespaced: metadata of ${id} has a field ${field}, which says whose a record is`);
  }
  return { ...metadata, [field]: namespace };
}

function withoutField(metadata: Metadata): Metadata {
  const { [field]: _, ...rest } = metadata;
  return rest;
}
