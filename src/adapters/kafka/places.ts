/**
 * How far a group has come, as the broker knows it: asked for once no transaction is pending that would change it, and put into transactions.
 *
 * The client's own call does not wait for transactions (`require_stable` of OffsetFetch, KIP-447): who takes over a partition while
 * the transaction of the one before is being committed would begin too early, and do again what that transaction has done.
 *
 * @module
 */
import type { API, Connection, Consumer, Producer } from "@platformatic/kafka";
import { MillraceError } from "../../core/errors.ts";
import { fieldOf } from "../../wire/error-fields.ts";
import type { KafkaPackage } from "./client.ts";
import { service } from "./options.ts";

/** Partitions with the place at which each goes on; one that the group has not begun is not among them. Throws UNSTABLE_OFFSET_COMMIT. */
export async function stablePlaces(kafka: KafkaPackage, member: Consumer, topic: string, indexes: readonly number[]): Promise<ReadonlyMap<number, bigint>> {
  const connection = await coordinatorOf(member, topic);
  const groups = [{ groupId: member.groupId, memberId: member.memberId, memberEpoch: -1, topics: [{ name: topic, partitionIndexes: [...indexes] }] }];
  const api = await apiOf<[typeof groups, boolean]>(kafka, member, "OffsetFetch");
  const answer = await api.async(connection, groups, true);
  return new Map(partitionsIn(answer).flatMap(({ partitionIndex, committedOffset }) => (committedOffset >= 0n ? [[partitionIndex, committedOffset]] : [])));
}

/** How far a partition is done with, by a transaction. */
export interface Mark {
  readonly partition: number;
  readonly place: bigint;
}

/**
 * Puts places of the member's group into the transaction of a producer. The broker refuses them when the group has been divided anew, or has
 * put the member out. All in one request: the client's own call takes one place at a time.
 */
export async function addPlaces(kafka: KafkaPackage, transaction: { readonly id: string; readonly producer: Producer }, member: Consumer, topic: string, marks: readonly Mark[]): Promise<void> {
  const { id, producer: { producerId, producerEpoch } } = transaction;
  const connection = await coordinatorOf(member, topic);
  const partitions = marks.map(({ partition, place }) => ({ partitionIndex: partition, committedOffset: place, committedLeaderEpoch: -1, committedMetadata: null }));
  const api = await apiOf<unknown[]>(kafka, member, "TxnOffsetCommit");
  await api.async(connection, id, member.groupId, producerId, producerEpoch, member.generationId, member.memberId, null, [{ name: topic, partitions }]);
}

async function coordinatorOf(member: Consumer, topic: string): Promise<Connection> {
  const coordinatorId = await member.findGroupCoordinator();
  const { brokers } = await member.metadata({ topics: [topic] });
  const broker = brokers.get(coordinatorId);
  if (broker === undefined) throw new MillraceError("unavailable", `${service}: broker ${coordinatorId}, which coordinates the group, is none of the cluster`, { service });
  return member.connections.get(broker);
}

/** A request in the version that both sides know. */
async function apiOf<Request extends unknown[]>(kafka: KafkaPackage, client: Consumer, name: string): Promise<API<Request, unknown>> {
  return new Promise((resolve, reject) => {
    client[kafka.kGetApi]<Request, unknown>(name, (error, api) => {
      if (error !== null || api === undefined) reject(error ?? new MillraceError("missing_config", `${service}: the broker knows no ${name}`, { service }));
      else resolve(api);
    });
  });
}

interface Place {
  readonly partitionIndex: number;
  readonly committedOffset: bigint;
}

/** Of one topic of one group; before version 8 of the call there were no groups in it. */
function partitionsIn(answer: unknown): readonly Place[] {
  const groups = fieldOf(answer, "groups");
  const [group]: readonly unknown[] = Array.isArray(groups) ? groups : [answer];
  const topics = fieldOf(group, "topics");
  const [first]: readonly unknown[] = Array.isArray(topics) ? topics : [];
  const partitions = fieldOf(first, "partitions");
  return Array.isArray(partitions) ? partitions : [];
}
