/**
 * What is used of an AMQP client: a connection, its channels, the messages they hand over. `amqplib` 2 has these, and more.
 *
 * @module
 */
import type { Buffer } from "node:buffer";

/** A message as it came. */
export interface AmqpMessage {
  readonly content: Uint8Array;
  readonly fields: { readonly deliveryTag: number; readonly redelivered: boolean };
  /** Properties and headers: whoever sent it wrote them. */
  readonly properties: object;
}

/** A channel. */
export interface AmqpChannel {
  on(event: "error" | "close" | "return" | "drain", listener: (told: unknown) => void): unknown;
  prefetch(count: number): Promise<unknown>;
  consume(queue: string, onMessage: (message: AmqpMessage | null) => void): Promise<{ readonly consumerTag: string }>;
  cancel(consumerTag: string): Promise<unknown>;
  checkQueue(queue: string): Promise<unknown>;
  assertQueue(queue: string, options: object): Promise<unknown>;
  ack(message: AmqpMessage, allUpTo: boolean): void;
  nack(message: AmqpMessage, allUpTo: boolean, requeue: boolean): void;
  close(): Promise<void>;
}

/** A channel whose messages the broker confirms. */
export interface AmqpConfirmChannel extends AmqpChannel {
  /** `false`: no more before `drain`. */
  publish(exchange: string, routingKey: string, content: Buffer, options: object, confirmed: (error: unknown) => void): boolean;
}

/** A connection. */
export interface AmqpConnection {
  on(event: "error" | "close" | "blocked" | "unblocked", listener: (told: unknown) => void): unknown;
  createChannel(): Promise<AmqpChannel>;
  createConfirmChannel(): Promise<AmqpConfirmChannel>;
  close(): Promise<void>;
}
