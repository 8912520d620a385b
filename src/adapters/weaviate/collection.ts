/**
 * One collection of Weaviate: looked at once, made on demand, and asked in calls that can be given up.
 *
 * @module
 */
import type { Clock } from "../../core/clock.ts";
import { isMillraceError, MillraceError } from "../../core/errors.ts";
import { type Call, givenUpCalls } from "../../wire/given-up.ts";
import { itemsOf, shapeOf } from "../../wire/json-shape.ts";
import { redaction } from "../../wire/redact.ts";
import type { WeaviateClient, WeaviateCollection, WeaviateConnection } from "./client.ts";
import { toWeaviateError } from "./errors.ts";
import { type CollectionShape, readSchema, toNumberProperty, toSchema } from "./schema.ts";

/** What a call does with the collection. */
export interface Within {
  readonly signal: AbortSignal;
  ask<T>(request: (collection: WeaviateCollection) => Promise<T>): Promise<T>;
  /** Is there a property of this name? Others may add some, so the collection is looked at once more before the answer is no. */
  has(property: string): Promise<boolean>;
  /** Adds the numeric properties that are not there. */
  addNumbers(names: ReadonlySet<string>): Promise<void>;
}

/** The collection of an adapter. */
export interface OwnCollection {
  setup(signal: AbortSignal | undefined): Promise<void>;
  /** `what` is for messages; `sent` gives texts that errors must not quote. */
  run<T>(what: string, work: (within: Within) => Promise<T>, signal: AbortSignal | undefined, sent?: () => readonly string[]): Promise<T>;
  /** Nothing to do, but a closed store and an aborted call are told so all the same. */
  nothing(signal: AbortSignal | undefined): Promise<void>;
  close(): Promise<void>;
}

/** What it is made of. */
export interface OwnCollectionOptions {
  readonly service: string;
  readonly connection: WeaviateConnection;
  readonly shape: CollectionShape;
  readonly tenant: string | undefined;
  readonly timeoutMs: number;
  readonly clock: Clock;
}

type Ask = <T>(request: (client: WeaviateClient) => Promise<T>) => Promise<T>;

/** Opens nothing yet: the first call does. */
export function ownCollection({ service, connection, shape, tenant, timeoutMs, clock }: OwnCollectionOptions): OwnCollection {
  const { collection, dimensions, metric } = shape;
  const calls = givenUpCalls({ service, timeoutMs, clock, closing: () => connection.client.close() });
  /** Did the server say its version? The client asks by itself where nobody hears a failure, unless it knows already. */
  let versioned = false;
  /** The properties that the collection is known to have, once it was looked at. */
  let known: Set<string> | undefined;

  const run = <T>(what: string, work: (ask: Ask, call: Call) => Promise<T>, signal: AbortSignal | undefined, sent: () => readonly string[] = () => []): Promise<T> =>
    calls.run(what, async (call) => {
      const client = await connection.client.get(call.signal);
      const ask: Ask = async (request) => {
        try {
          return await call.request(() => request(client));
        } catch (error) {
          throw call.signal.aborted ? call.signal.reason : toWeaviateError(service, what, error, redaction({ secrets: connection.secrets(), sent }));
        }
      };
      if (!versioned) await ask((it) => it.getWeaviateVersion());
      versioned = true;
      return work(ask, call);
    }, signal);
  const own = (client: WeaviateClient): WeaviateCollection => {
    const whole = client.collections.use(collection);
    return tenant === undefined ? whole : whole.withTenant(tenant);
  };
  const missing = (cause: unknown): MillraceError =>
    new MillraceError("not_found", `${service}: there is no collection ${collection}${tenant === undefined ? "" : ` with a tenant ${tenant}`}; setup() makes it`, {
      service,
      scope: "dependency",
      cause,
    });
  /** Does the collection hold what the options say? */
  const look = async (ask: Ask, { signal }: Call): Promise<Set<string>> => {
    const found = readSchema(await ask((client) => client.collections.exportToJson(collection)));
    const fits = found.tenants === shape.tenants;
    const size = found.dimensions ?? (fits ? await sizeOf(ask, signal) : undefined);
    if (!fits || found.metric !== metric || size !== dimensions) {
      const holds = `vectors of ${size ?? "some"} dimensions by ${found.metric ?? "none"}, ${found.tenants ? "of tenants" : "of no tenants"}`;
      const told = `${dimensions} by ${metric}, ${shape.tenants ? "of a tenant" : "of no tenant"}`;
      throw new MillraceError("conflict", `${service}: ${collection} holds ${holds}; the options say ${told}`, { service, scope: "process" });
    }
    known = new Set([...(known ?? []), ...found.properties]);
    return known;
  };
  /** Of a collection that somebody else made: as its first object has it. */
  const sizeOf = async (ask: Ask, abortSignal: AbortSignal): Promise<number> => {
    const some = shapeOf(await ask((client) => own(client).query.fetchObjects({ limit: 1, includeVector: true }, { abortSignal })));
    const [first] = itemsOf(some?.["objects"]);
    return itemsOf(shapeOf(shapeOf(first)?.["vectors"])?.["default"]).length || dimensions;
  };
  const addNumbers = async (ask: Ask, call: Call, names: ReadonlySet<string>): Promise<void> => {
    for (const name of names) {
      if (known?.has(name) === true) continue;
      try {
        await ask((client) => client.collections.use(collection).config.addProperty(toNumberProperty(name)));
      } catch (error) {
        // 422: another process was faster, if it is there now
        if (!isMillraceError(error, "invalid_input") || !(await look(ask, call)).has(name)) throw error;
      }
      known?.add(name);
    }
  };

  return {
    async setup(signal) {
      await run("setup", async (ask, call) => {
        if (!(await exists(ask((client) => client.collections.exportToJson(collection))))) await ask((client) => client.collections.createFromJson(toSchema(shape))).catch(unlessThere);
        await look(ask, call);
        if (tenant !== undefined) await ask((client) => client.collections.use(collection).tenants.create([{ name: tenant }])).catch(unlessThere);
      }, signal);
    },
    run: (what, work, signal, sent) =>
      run(what, async (ask, call) => {
        try {
          if (known === undefined) await look(ask, call);
          return await work({
            signal: call.signal,
            ask: (request) => ask((client) => request(own(client))),
            has: async (property) => known?.has(property) === true || (await look(ask, call)).has(property),
            addNumbers: (names) => addNumbers(ask, call, names),
          });
        } catch (error) {
          if (!isMillraceError(error, "not_found")) throw error;
          known = undefined;
          throw missing(error.cause);
        }
      }, signal, sent),
    nothing: (signal) => calls.run("call", async () => {}, signal),
    close: () => calls.close(),
  };
}

async function exists(request: Promise<unknown>): Promise<boolean> {
  try {
    await request;
    return true;
  } catch (error) {
    if (isMillraceError(error, "not_found")) return false;
    throw error;
  }
}

/** 422: another set-up was faster. What it made is looked at afterwards. */
function unlessThere(error: unknown): void {
  if (!isMillraceError(error, "invalid_input") || error.status !== 422) throw error;
}
