/**
 * A Kafka of the tests' own: the broker of an installed Kafka, else its jars from Maven Central; one node, KRaft.
 *
 * @module
 */
import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, realpathSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { Consumer, Producer } from "@platformatic/kafka";
import { call } from "./debian.ts";
import { firstFile, freePort, type Host, type Launched } from "./host.ts";

const cache = join(import.meta.dirname, "..", "..", ".cache", "services");
/** The broker alone is mute: it brings the interface of its log, and nothing behind it. */
const artifacts = ["org.apache.kafka:kafka_2.13:4.1.1", "org.slf4j:slf4j-simple:1.7.36"];

/** A broker that answers. */
export interface KafkaServer {
  /** `host:port`, for `brokers`. */
  readonly url: string;
  readonly from: string;
  readonly process: Launched;
  readonly port: number;
  readonly directory: string;
}

/** Where a broker is started; all of it as another one left it. */
export interface KafkaPlace {
  readonly port: number;
  readonly directory: string;
  /** A second listener, on a port of its own, that clients are told to reach by another port: where a proxy stands before it. */
  readonly proxied?: { readonly port: number; readonly through: number };
}

/** How the broker is started. */
interface KafkaProgram {
  readonly java: string;
  readonly classPath: string;
  /** For the printed line. */
  readonly from: string;
}

/** Finds the broker, or fetches it; throws with the reason where there can be none. */
export function kafkaProgram(): KafkaProgram {
  const java = firstFile("java");
  if (java === undefined) throw new Error("Kafka needs Java 17, and there is no Java");
  const version = /^\w+ (\d+)/.exec(call(java, ["--version"]))?.[1];
  if (version === undefined || Number(version) < 17) throw new Error(`Kafka needs Java 17, and Java here is ${version ?? "unknown"}`);
  const script = firstFile("kafka-server-start", "kafka-server-start.sh");
  const local = script === undefined ? undefined : join(dirname(realpathSync(script)), "..", "libs");
  const jars = local !== undefined && existsSync(local) ? local : fetched();
  const release = readdirSync(jars).flatMap((name) => /^kafka_[\d.]+-([\d.]+)\.jar$/.exec(name)?.[1] ?? [])[0];
  if (release === undefined) throw new Error(`no broker among the jars of ${jars}`);
  return { java, classPath: join(jars, "*"), from: `Kafka ${release}${jars === local ? "" : " from Maven Central"}` };
}

/** Starts a broker with data of its own, or on what another has left; it ends with the host. */
export async function startKafka(host: Host, at?: KafkaPlace): Promise<KafkaServer> {
  const { java, classPath, from } = kafkaProgram();
  const { port, directory, proxied } = at ?? { port: await freePort(), directory: host.directory("kafka"), proxied: undefined };
  const data = join(directory, "data");
  const settings = join(directory, "server.properties");
  writeFileSync(settings, properties(data, port, await freePort(), proxied));
  if (!existsSync(join(data, "meta.properties"))) {
    // an id may begin with a dash, and would be taken for an option if it stood alone
    call(java, ["-XX:TieredStopAtLevel=1", "-cp", classPath, "kafka.tools.StorageTool", "format", `--cluster-id=${randomBytes(16).toString("base64url")}`, "-c", settings]);
  }
  // a small heap, and the compiler that starts soonest: tests want it up, not fast
  const flags = ["-Xms96m", "-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"];
  const process = host.launch("kafka", java, [...flags, "-cp", classPath, "kafka.Kafka", settings]);
  const url = `127.0.0.1:${port}`;
  await host.ready(process, () => answers(url));
  return { url, from: `${from}, own process`, process, port, directory };
}

/** Has it a producer's id, and a coordinator for groups? Both are had later than the port. */
export async function answers(url: string): Promise<boolean> {
  const options = { clientId: "ready", bootstrapBrokers: url.split(","), connectTimeout: 2_000, requestTimeout: 5_000, retries: false };
  const producer = new Producer({ ...options, idempotent: true });
  const consumer = new Consumer({ ...options, groupId: "ready" });
  try {
    await producer.initIdempotentProducer({});
    await consumer.findGroupCoordinator();
    return true;
  } catch {
    return false;
  } finally {
    await Promise.allSettled([producer.close(), consumer.close()]);
  }
}

function properties(data: string, port: number, controller: number, proxied: KafkaPlace["proxied"]): string {
  const own = `PLAINTEXT://127.0.0.1:${port}`;
  return Object.entries({
    "process.roles": "broker,controller",
    "node.id": 1,
    listeners: `${own},CONTROLLER://127.0.0.1:${controller}${proxied === undefined ? "" : `,PROXIED://127.0.0.1:${proxied.port}`}`,
    "advertised.listeners": `${own}${proxied === undefined ? "" : `,PROXIED://127.0.0.1:${proxied.through}`}`,
    "controller.listener.names": "CONTROLLER",
    "inter.broker.listener.name": "PLAINTEXT",
    "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,PROXIED:PLAINTEXT",
    "controller.quorum.voters": `1@127.0.0.1:${controller}`,
    "log.dirs": data,
    "auto.create.topics.enable": false,
    "offsets.topic.replication.factor": 1,
    "offsets.topic.num.partitions": 4,
    "transaction.state.log.replication.factor": 1,
    "transaction.state.log.min.isr": 1,
    "transaction.state.log.num.partitions": 4,
    // a broker that was killed is only let in again when its last session is over
    "broker.session.timeout.ms": 2_000,
    "broker.heartbeat.interval.ms": 500,
    "group.initial.rebalance.delay.ms": 0,
    "group.min.session.timeout.ms": 1_000,
  })
    .map(([name, value]) => `${name}=${value}\n`)
    .join("");
}

/** The jars, fetched once. */
function fetched(): string {
  const kept = join(cache, "kafka-4.1.1");
  if (existsSync(kept)) return kept;
  const maven = firstFile("mvn");
  if (maven === undefined) throw new Error("no Kafka is installed, and no Maven to fetch it with");
  console.log("services: fetching Kafka (once, into .cache/services)");
  mkdirSync(cache, { recursive: true });
  const work = mkdtempSync(join(cache, "making-"));
  try {
    const dependencies = artifacts.map((artifact) => {
      const [group, id, version] = artifact.split(":");
      return `<dependency><groupId>${group}</groupId><artifactId>${id}</artifactId><version>${version}</version></dependency>`;
    });
    const head = '<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion><groupId>tests</groupId><artifactId>kafka</artifactId><version>1</version>';
    writeFileSync(join(work, "pom.xml"), `${head}<dependencies>${dependencies.join("")}</dependencies></project>`);
    const into = join(work, "jars");
    // a repository of its own: the developer's stays as it is
    call(maven, ["-q", "-B", `-Dmaven.repo.local=${join(work, "repository")}`, "dependency:copy-dependencies", `-DoutputDirectory=${into}`], work);
    if (!existsSync(kept)) renameSync(into, kept);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
  return kept;
}
