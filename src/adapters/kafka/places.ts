/**
 * How far a group has come, as the broker knows it, once no transaction is pending that would change it.
 *
 * The client's own call does not wait for transactions (`require_stable` of OffsetFetch, KIP-447): who takes over a partition while
 * the transaction of the one before is being committed would begin too early, and do again what that transaction has done.
 *
 * @module
 */
import type { Consumer } from "@platformatic/kafka";
import { fieldOf } from "../../wire/error-fields.ts";
import type { KafkaPackage } from "./client.ts";

/** Partitions with the place at which each goes on; one that the group has not begun is not among them. Throws UNSTABLE_OFFSET_COMMIT. */
export async function stablePlaces(kafka: KafkaPackage, member: Consumer, topic: string, indexes: readonly number[]): Promise<ReadonlyMap<number, bigint>> {
  const coordinatorId = await member.findGroupCoordinator();
  const { brokers } = await member.metadata({ topics: [topic] });
  const broker = brokers.get(coordinatorId);
  if (broker === undefined) throw new Error(`broker ${coordinatorId}, which coordinates the group, is none of the cluster`);
  const connection = await member.connections.get(broker);
  const groups = [{ groupId: member.groupId, memberId: member.memberId, memberEpoch: -1, topics: [{ name: topic, partitionIndexes: [...indexes] }] }];
  const answer = await new Promise<unknown>((resolve, reject) => {
    member[kafka.kGetApi]<[typeof groups, boolean], unknown>("OffsetFetch", (error, api) => {
      if (error !== null || api === undefined) reject(error ?? new Error("the broker has no OffsetFetch"));
      else api.async(connection, groups, true).then(resolve, reject);
    });
  });
  return new Map(partitionsIn(answer).flatMap(({ partitionIndex, committedOffset }) => (committedOffset >= 0n ? [[partitionIndex, committedOffset]] : [])));
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
