/**
 * A message of JetStream as a delivery, and how the server is told what became of it.
 *
 * @module
 */
import type { Clock } from "../../core/clock.ts";
import { isMillraceError, MillraceError, wholeNumber } from "../../core/errors.ts";
import { noMetadata } from "../../core/part.ts";
import { type MessageFormat, readMessage } from "../../kinds/envelope.ts";
import { type Delivery, settleOnce } from "../../kinds/queue.ts";
import type { Connection } from "./connection.ts";
import { type Held, negative } from "./held.ts";
import type { Reader } from "./reader.ts";

/** What JetStream understands in answer to a message. */
const positive = "+ACK";
const working = "+WPI";

/** What deliveries of a queue have in common. */
export interface DeliverySettings {
  readonly service: string;
  readonly connection: Connection;
  readonly format: MessageFormat;
  readonly leaseMs: number;
  readonly clock: Clock;
}

/** Hands out a message that the reader holds. */
export function deliveryOf(settings: DeliverySettings, reader: Reader, held: Held): Delivery {
  const { service, format, leaseMs, clock } = settings;
  const { id, attempt, message, controller } = held;
  const { id: inBody, ...read } = readMessage(service, format, message.data);
  const messageId = inBody ?? (message.headers?.get("Nats-Msg-Id") || undefined);
  const once = settleOnce(service, id);
  const settle = (what: "ack" | "nack", payload: string): Promise<void> =>
    once(async () => {
      held.settling = what;
      try {
        await tell(settings, reader, held, what, payload);
      } finally {
        held.settling = undefined;
      }
      reader.release(held);
    });
  return {
    headers: noMetadata,
    ...read,
    id,
    attempt,
    ...(messageId === undefined ? {} : { messageId }),
    signal: controller.signal,
    ack: () => settle("ack", positive),
    async nack({ delayMs = 0 } = {}) {
      wholeNumber(`${service}: nack`, "delayMs", delayMs, 0);
      await settle("nack", delayMs === 0 ? negative : `${negative} ${JSON.stringify({ delay: delayMs * 1_000_000 })}`);
    },
    async extend(ms) {
      wholeNumber(`${service}: extend`, "ms", ms, 1, leaseMs); // the server knows one length of lease, and begins it again
      const askedMs = clock.now();
      await tell(settings, reader, held, "extend", working);
      reader.prolong(held, askedMs);
    },
  };
}

/** Tells the server, which confirms. That a message is done with may be said twice, so it is, until its lease is over; the rest is said once. */
async function tell({ service, connection }: DeliverySettings, reader: Reader, held: Held, what: "ack" | "nack" | "extend", payload: string): Promise<void> {
  for (;;) {
    if (!reader.isHeld(held)) throw new MillraceError("closed", `${service}: delivery ${held.id} is this reader's no more`, { service });
    try {
      return void (await connection.ask(what, held.reply, payload, held.controller.signal));
    } catch (error) {
      if (isMillraceError(error, "not_found")) throw new MillraceError("closed", `${service}: delivery ${held.id} is lost: the consumer is gone`, { service, cause: error });
      const passes = isMillraceError(error, "interrupted") || isMillraceError(error, "unavailable");
      if (what !== "ack" || !passes) throw error;
    }
  }
}
