/**
 * What adapters are made of: what the adapters of this package use beside the names of `millrace`, for those who write their own.
 *
 * A name is here or in `millrace`, never in both. What speaks to one service, and is shared by adapters of ours alone, is in neither:
 * `wire/openai`, and Postgres with its SQL.
 *
 * @module
 */
// Options: refused when the adapter is built, in one form everywhere.
export { invalidOption, received, wholeNumber } from "./core/errors.ts";

// Parts: their types, what no part says otherwise, who may speak as system.
export { fromBase64, toBase64 } from "./core/base64.ts";
export { isWholePart } from "./core/content.ts";
export { joinBytes } from "./core/join-bytes.ts";
export { checkedJson, checkedMetadata } from "./core/json-border.ts";
export { readableParts } from "./core/readable.ts";
export { essence } from "./core/guards.ts";
export { endingOf, mimeTypeOfName, unknownMimeType } from "./core/mime-types.ts";
export { type Deadline, Deadlines } from "./core/deadlines.ts";
export { Fifo } from "./core/fifo.ts";
export { LinkedList, type ListNode } from "./core/linked-list.ts";
export { ignore } from "./core/flow.ts";
export { type Makeup, makeupOf } from "./core/makeup.ts";
export { noMetadata } from "./core/part.ts";
export { isTrustedSystem } from "./core/system-brand.ts";

// Waiting and ending: what hears the signal, and what is closed once.
export { sleepOn } from "./core/clock.ts";
export { heard } from "./wire/heard.ts";
export { type Lifetime, lifetime, type RunningCall } from "./wire/lifetime.ts";
export { checkMilliseconds, checkSystemOptions } from "./wire/model-options.ts";

// Clients and keys: loaded, made and read at first use.
export { type ApiKey, checkedBaseUrl, checkedHeaders, type KeyOptions, type KeySource, keySource } from "./wire/endpoint.ts";
export { type ClientSource, type LazyClient, lazyClient } from "./wire/sdk.ts";

// Requests and answers: one exchange under our clocks and limits, and JSON that nobody has looked at yet.
export type { Fetch } from "./wire/answer.ts";
export { type Answer, type Exchange, type ExchangeOptions, openExchange, type Timeouts } from "./wire/exchange.ts";
export { type Call, type Calls, type CallsOptions, givenUpCalls } from "./wire/given-up.ts";
export { type Ask, type StoreCalls, storeCalls, type StoreConnection, type StoreProtocol, type StoreRequest, type StoreSettings } from "./wire/store-calls.ts";
export { type EventWatch, watchEvents } from "./wire/event-watch.ts";
export { type AnswerBody, answerBody, type BodyWatch } from "./wire/answer-body.ts";
export { type BodyFilter, guardedBody } from "./wire/guarded-body.ts";
export { compact, countOf, itemsOf, type Shape, shapeOf, wordsOf } from "./wire/json-shape.ts";

// Errors of services: which code they are, when to come again, and what of them may be quoted.
export { amqpFault } from "./wire/amqp-errors.ts";
export { awsFault } from "./wire/aws-errors.ts";
export { googleFault } from "./wire/google-errors.ts";
export { grpcFault } from "./wire/grpc-status.ts";
export { codeOfStatus } from "./wire/http-status.ts";
export { kafkaFault } from "./wire/kafka-errors.ts";
export { networkError, type NetworkFault, networkFault } from "./wire/network-errors.ts";
export { natsFault } from "./wire/nats-errors.ts";
export { redisFault } from "./wire/redis-errors.ts";
export { fieldOf, numberOf, textOf } from "./wire/error-fields.ts";
export { headersIn, type ServiceFault } from "./wire/service-fault.ts";
export { type Confidential, quotedError, type Redact, redaction } from "./wire/redact.ts";
export { type Answered, type HeaderSource, type RetryHint, retryHint } from "./wire/retry-hint.ts";

// Models: a turn of a conversation in, its answer out, ended in exactly one way.
export { askedOf } from "./core/asked.ts";
export { asks } from "./core/asks.ts";
export { modelOf } from "./kinds/model.ts";
export { serviceTokenCounter } from "./kinds/token-counter.ts";
export { asking, type StandingAsks } from "./wire/asking.ts";
export { type CalledTool, calledTool } from "./wire/called-tool.ts";
export { collect } from "./wire/collect.ts";
export { type AnswerReader, type ModelProtocol, modelTurn, type Sender, type TurnSettings } from "./wire/model-turn.ts";
export { type Embed, embedding, type EmbeddingProtocol, type EmbeddingSender, type EmbeddingSettings } from "./wire/embedding.ts";
export { type JsonProtocol, type JsonQuestion, jsonRequest, type JsonSender, type JsonSettings } from "./wire/json-request.ts";
export { type SseDecoder, sseDecoder, type SseEvent } from "./wire/sse-decoder.ts";
export { jsonLines } from "./wire/json-lines.ts";
export { requireWhole } from "./wire/strict-finish.ts";
export { type TextJoin, textJoin } from "./wire/text-join.ts";
export { checkCountingOptions, type CountingOptions, type CountingProtocol, tokenCounting } from "./wire/token-counting.ts";
export { mediaBehind, mediaInside, resultText, type WithMedia } from "./wire/tool-media.ts";
export { cannotTake } from "./wire/cannot-take.ts";
export { sentTexts, type Spoken, spokenParts, type SystemParts } from "./wire/turn-input.ts";

// Blob stores: keys and chunks that are checked, and contents as parts.
export { chunksOf } from "./kinds/blob-chunks.ts";
export { checkKey, encodeId } from "./kinds/blob-keys.ts";
export { type Likeness, partsOf, readOptions, type ReadOptions } from "./kinds/blob-parts.ts";
export { bounded, boundsOf, checkMetadata, maxChunkBytes } from "./kinds/blob-store.ts";

// Key-value stores: keys, values and the marks of limits, checked; the one step in which marks move.
export { utf8Length } from "./core/part-size.ts";
export { checkValue, checkValueKey } from "./kinds/key-value.ts";
export { advanceMarks, checkSteps } from "./kinds/marks.ts";

// Queues: messages written and read, options checked, each delivery settled once.
export { messageOf, readMessage, validCorrelationId, validTraceparent, writeMessage } from "./kinds/envelope.ts";
export { type HandedOut, handOut, type Hands } from "./kinds/hand-out.ts";
export { checkNack, checkOpen, checkSend, isKey, isMessageId } from "./kinds/queue.ts";
export { Watermark } from "./kinds/watermark.ts";

// Vector stores: what every store refuses, filters, scores, and two rankings as one.
export { candidates, compareIds, fuseRanks, rankConstant } from "./kinds/rank-fusion.ts";
export { checkIds, checkQuery, checkRecords, checkSelection, type VectorShape } from "./kinds/vector-checks.ts";
export { checkFilter, filterHolds } from "./kinds/vector-filter.ts";
export { scoreOf } from "./kinds/vector-store.ts";

// The web: addresses that may be asked, bodies that are bounded, images that are not too large.
export { addressGuard, type Guard, type GuardOptions, type Resolve, shown as shownUrl } from "./wire/address-guard.ts";
export { type Gotten, type GuardedGet, guardedGet } from "./wire/guarded-get.ts";
export { checkPixels, imageSize } from "./wire/image-size.ts";
