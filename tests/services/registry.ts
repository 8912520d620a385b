/**
 * The services that tests may ask for, and how each is had: an address from the environment, else a server of our own, else a reason.
 *
 * A further service is one entry in `definitions`.
 *
 * @module
 */
import { chromaProgram, startChroma } from "./chroma.ts";
import type { Host } from "./host.ts";
import { natsProgram, startNats } from "./nats.ts";
import { kafkaProgram, startKafka } from "./kafka.ts";
import { ask, startPostgres } from "./postgres.ts";
import { postgresTree } from "./postgres-tree.ts";
import { startRabbitmq } from "./rabbitmq.ts";
import { rabbitmqTree } from "./rabbitmq-tree.ts";
import { redisProgram, startRedis } from "./redis.ts";
import { restateProgram, startRestate } from "./restate.ts";

/** What a test gets. */
export type ServiceAnswer =
  | { readonly url: string; readonly from: string; readonly skip?: never }
  | { readonly skip: string; readonly url?: never; readonly from?: never };

/** How a service is had. */
interface ServiceDefinition {
  /** Holds the address of a server that is there already. */
  readonly variable: string;
  /** Starts one. Throws with the reason why there can be none. */
  start(services: Services): Promise<{ readonly url: string; readonly from: string }>;
  /** Looks whether a server from the environment will do; gives the reason if not. */
  unfit?(url: string): Promise<string | undefined>;
  /** Fetches what is missing, without starting anything; says what there is. */
  install(): string;
}

const definitions: Readonly<Record<string, ServiceDefinition>> = {
  postgres: {
    variable: "DATABASE_URL",
    start: ({ host }) => startPostgres(host()),
    install: () => postgresTree().from,
  },
  pgvector: {
    variable: "DATABASE_URL",
    async start(services) {
      const postgres = await services.service("postgres");
      if (postgres.skip !== undefined) throw new Error(postgres.skip);
      const why = await withoutVector(postgres.url);
      if (why !== undefined) throw new Error(postgresTree().withoutVector ?? why);
      return postgres;
    },
    unfit: withoutVector,
    install() {
      const { from, withoutVector } = postgresTree();
      if (withoutVector !== undefined) throw new Error(withoutVector);
      return from;
    },
  },
  chroma: {
    variable: "CHROMA_URL",
    start: ({ host }) => startChroma(host()),
    install: () => chromaProgram().from,
  },
  nats: {
    variable: "NATS_URL",
    start: ({ host }) => startNats(host()),
    install: () => natsProgram().from,
  },
  rabbitmq: {
    variable: "AMQP_URL",
    start: ({ host }) => startRabbitmq(host()),
    install: () => rabbitmqTree().from,
  },
  redis: {
    variable: "REDIS_URL",
    start: ({ host }) => startRedis(host()),
    install: () => redisProgram().from,
  },
  kafka: {
    variable: "KAFKA_BROKERS",
    start: ({ host }) => startKafka(host()),
    install: () => kafkaProgram().from,
  },
  // The address of the ingress; the admin API is at RESTATE_ADMIN_URL, else on the port after it.
  restate: {
    variable: "RESTATE_URL",
    start: ({ host }) => startRestate(host()),
    install: () => restateProgram().from,
  },
};

async function withoutVector(url: string): Promise<string | undefined> {
  const version = await ask(url, "select default_version from pg_available_extensions where name = 'vector'");
  return typeof version === "string" ? undefined : "the server has no pgvector";
}

/** The names there are. */
export const serviceNames: readonly string[] = Object.keys(definitions);

/** What has been started, one promise a service: the tenth caller waits for the first one's start. */
export interface Services {
  service(name: string): Promise<ServiceAnswer>;
  /** Where servers of our own live; opened by the first that needs it. */
  host(): Host;
  /** One line for each service that was asked for. */
  report(): Promise<readonly string[]>;
  close(): Promise<void>;
}

/** Opens the services; nothing is started before somebody asks. `env` has `SERVICES`, `REQUIRE_SERVICES` and the addresses. */
export function openServices(openHost: () => Host, env: NodeJS.ProcessEnv = process.env): Services {
  const required = new Set((env.REQUIRE_SERVICES ?? "").split(",").map((name) => name.trim()).filter(Boolean));
  const answers = new Map<string, Promise<ServiceAnswer>>();
  let host: Host | undefined;
  const begin = async (name: string): Promise<ServiceAnswer> => {
    const definition = Object.hasOwn(definitions, name) ? definitions[name] : undefined;
    if (definition === undefined) throw new Error(`no service is named ${name}; there are ${serviceNames.join(", ")}`);
    let reason: string | undefined;
    const url = env[definition.variable];
    if (env.SERVICES === "none") reason = "SERVICES=none";
    else if (url !== undefined && url !== "") {
      reason = await definition.unfit?.(url);
      if (reason === undefined) return { url, from: definition.variable };
    } else {
      try {
        const { url, from } = await definition.start(services);
        return { url, from };
      } catch (error) {
        reason = error instanceof Error ? error.message : String(error);
      }
    }
    if (required.has(name) || required.has("all")) throw new Error(`${name} is required, and there is none: ${reason}`);
    return { skip: reason };
  };
  const services: Services = {
    service(name) {
      const known = answers.get(name);
      if (known !== undefined) return known;
      const answer = begin(name);
      answers.set(name, answer);
      return answer;
    },
    host: () => (host ??= openHost()),
    async report() {
      const lines = [...answers].map(async ([name, answer]) => {
        try {
          const { skip, from } = await answer;
          return skip === undefined ? `${name}: ${from}` : `${name}: SKIPPED, ${skip}`;
        } catch (error) {
          return `${name}: FAILED, ${error instanceof Error ? error.message : String(error)}`;
        }
      });
      return Promise.all(lines);
    },
    async close() {
      await Promise.allSettled(answers.values()); // what is still starting would outlive us
      await host?.close();
      host = undefined;
    },
  };
  return services;
}

/** Fetches what services need, without starting them. Gives a line for each, and whether all are there. */
export function installServices(names: readonly string[]): { readonly lines: readonly string[]; readonly complete: boolean } {
  let complete = true;
  const lines = names.map((name) => {
    const definition = Object.hasOwn(definitions, name) ? definitions[name] : undefined;
    try {
      if (definition === undefined) throw new Error(`no service is named so; there are ${serviceNames.join(", ")}`);
      return `${name}: ${definition.install()}`;
    } catch (error) {
      complete = false;
      return `${name}: ${error instanceof Error ? error.message : String(error)}`;
    }
  });
  return { lines, complete };
}
