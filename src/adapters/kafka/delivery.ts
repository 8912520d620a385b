/**
 * A record of a log as a delivery.
 *
 * @module
 */
import { MillraceError } from "../../core/errors.ts";
import { readMessage, type ReadMessage } from "../../kinds/envelope.ts";
import { handOut, type Hands } from "../../kinds/hand-out.ts";
import type { Delivery } from "../../kinds/queue.ts";
import { service, type Settings } from "./options.ts";
import type { Out } from "./partition.ts";
import { keyIn, type LogRecord, toldBy } from "./records.ts";

/** Hands out a message. */
export function deliver(settings: Settings, hands: Hands<Out>, out: Out): Delivery {
  const { record, attempt, partition, lost } = out;
  const id = `${settings.topic}/${partition.index}/${record.offset}`;
  return handOut(hands, out, contentOf(settings, record), { id, attempt, key: keyIn(record), signal: lost.signal });
}

/** What stands in a record; its headers count where its body tells nothing beside its parts. */
function contentOf({ format, topic }: Settings, record: LogRecord): ReadMessage {
  if (record.magic !== undefined) {
    const unreadable = new MillraceError("invalid_input", `${service}: a message of ${topic} has version ${record.magic} of the format of logs, known is 2`);
    return { parts: [], headers: {}, unreadable };
  }
  if (record.value === null) return { parts: [], ...toldBy(record) }; // a tombstone
  const message = readMessage(service, format, record.value);
  return message.headers === undefined ? { ...toldBy(record), ...message } : message;
}
