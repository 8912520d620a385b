/**
 * millrace: stream processors on async iterables.
 *
 * The public names of the core, the stream verbs and the kinds. Adapters are imported by path: `millrace/adapters/files`.
 *
 * @module
 */
export type { Asked, ModelTool, OutputSchema, ToolChoice } from "./core/asked.ts";
export { type Clock, systemClock } from "./core/clock.ts";
export { type Codec, codec } from "./core/codec.ts";
export {
  audio,
  bytes,
  debug,
  finish,
  image,
  json,
  status,
  text,
  toolCall,
  toolResult,
  uri,
} from "./core/constructors.ts";
export type { Input, Item } from "./core/content.ts";
export { derive, type PartChanges } from "./core/derive.ts";
export {
  type Delivered,
  type ErrorCode,
  errorCodes,
  type ErrorDetails,
  type ErrorScope,
  isMillraceError,
  MillraceError,
  type TimeoutPhase,
} from "./core/errors.ts";
export { from } from "./core/from.ts";
export {
  isAudio,
  isBytes,
  isError,
  isFinish,
  isImage,
  isJson,
  isPdf,
  isReserved,
  isText,
  isToolCall,
  isToolResult,
  isUri,
  isVideo,
} from "./core/guards.ts";
export type {
  BytesPart,
  ErrorPart,
  FinishPart,
  FinishReason,
  JsonPart,
  JsonValue,
  Metadata,
  Part,
  PartBase,
  PartOptions,
  ProcessorPart,
  Role,
  TextPart,
  ToolCallPart,
  ToolResultPart,
  UriPart,
  Usage,
} from "./core/part.ts";
export type { PartStream } from "./core/part-stream.ts";
export type {
  Context,
  Observer,
  Outcome,
  PartFunction,
  PartResult,
  Processor,
  RunObserver,
  StageObserver,
} from "./core/processor.ts";
export { isReset } from "./core/reset.ts";
export { resumable, type ResumableProcessor, type Resumption } from "./core/resumable.ts";
export { run } from "./core/run.ts";
export type { RunOptions } from "./core/scope.ts";
export { type AnswerOptions, answerCalls } from "./delivery/answer-calls.ts";
export { call, type CallOptions } from "./delivery/call.ts";
export { deliveryOf } from "./delivery/current.ts";
export type { DeadLetter, DeadLetters, DeadMessage } from "./delivery/dead-letter.ts";
export type { WorkerCounters, WorkerEvent } from "./delivery/events.ts";
export type { Ordering } from "./delivery/lanes.ts";
export { offload, type OffloadOptions } from "./delivery/offload.ts";
export type { ConsumeOptions, DeliveryBatch } from "./delivery/options.ts";
export { relay, type RelayOptions } from "./delivery/relay.ts";
export { replay, type ReplayOptions, type ReplayResult } from "./delivery/replay.ts";
export type { SinkLike } from "./delivery/sinks.ts";
export { idempotencyKey, type Sink, type SinkContext } from "./kinds/sink.ts";
export { sqlSink, type SqlSink, type SqlSinkOptions } from "./delivery/sql-sink.ts";
export { stopOnSignals, type StopOnSignalsOptions, type StopSignal } from "./delivery/stop-on-signals.ts";
export { consume, type StopResult, type Worker } from "./delivery/worker.ts";
export type {
  BlobAbility,
  BlobChunks,
  BlobContent,
  BlobEntry,
  BlobGetOptions,
  BlobInfo,
  BlobListOptions,
  BlobPutOptions,
  BlobRange,
  BlobStore,
} from "./kinds/blob-store.ts";
export type { BlobPlace } from "./kinds/blob-verbs.ts";
export { cachedEmbedder, type CachedEmbedderOptions, type EmbedCacheEvent } from "./kinds/cached-embedder.ts";
export { embed, embeddingOf, type EmbedOptions } from "./kinds/embed.ts";
export type { EmbedContext, Embedder } from "./kinds/embedder.ts";
export { type Journal, journal, type JournalOptions } from "./kinds/journal.ts";
export type { KeyValueAbility, KeyValueContext, KeyValueSetOptions, KeyValueStore, MarkStore } from "./kinds/key-value.ts";
export { insert, type InsertColumn, type InsertOptions } from "./kinds/insert.ts";
export type { InsertConflict } from "./kinds/insert-statement.ts";
export { load, type LoadOptions } from "./kinds/load.ts";
export type { Advanced, MarkStep, MarkSteps } from "./kinds/marks.ts";
export type { Model } from "./kinds/model.ts";
export { namespaced } from "./kinds/namespaced.ts";
export { recorded, type RecordedEvent, type RecordedOptions } from "./kinds/recorded.ts";
export { recordedPart } from "./kinds/recorded-rows.ts";
export { recordedSetup, type RecordedTables } from "./kinds/recorded-tables.ts";
export { forget, remember, type RememberOptions } from "./kinds/remember.ts";
export { type Match, retrieve, type RetrieveOptions } from "./kinds/retrieve.ts";
export { rows, type RowsOptions, type RowsStatement } from "./kinds/rows.ts";
export type { SqlContext, SqlDatabase, SqlParameter, SqlQueryOptions, SqlResult, SqlRow, SqlSession, SqlStatement, SqlValue } from "./kinds/sql.ts";
export { envelope, type EnvelopeOptions, foreign, type ForeignOptions, type Message, type MessageFormat, type ReadMessage } from "./kinds/envelope.ts";
export { publish, type PublishOptions, type Receipt } from "./kinds/publish.ts";
export type {
  Delivery,
  NackOptions,
  Queue,
  QueueAbility,
  QueueEvent,
  QueueGuarantee,
  QueueOpenOptions,
  QueueRedelivery,
  SendOptions,
  Sent,
} from "./kinds/queue.ts";
export { save, type SaveOptions } from "./kinds/save.ts";
export { approximateTokens, type CountContext, type ServiceTokenCounter, type TokenCounter, tokenCounter, type Tokenizer } from "./kinds/token-counter.ts";
export type { Checked, OpenedTools, Tool, ToolRun, ToolSource } from "./kinds/tool.ts";
export type { FilterValue, VectorFilter } from "./kinds/vector-filter.ts";
export type {
  VectorAbility,
  VectorContext,
  VectorEntry,
  VectorMatch,
  VectorMetric,
  VectorQuery,
  VectorRecord,
  VectorSelection,
  VectorStore,
} from "./kinds/vector-store.ts";
export { type BulkheadLimit, type BulkheadLimits, type BulkheadOptions, bulkhead, bulkheadLimit } from "./resilience/bulkhead.ts";
export { cache, type CacheOptions } from "./resilience/cache.ts";
export type { CacheEvent, CacheStore } from "./resilience/caching/cache-store.ts";
export {
  type Circuit,
  circuit,
  circuitBreaker,
  type CircuitBreakerOptions,
  type CircuitEvent,
  type CircuitOptions,
  type CircuitState,
} from "./resilience/circuit-breaker.ts";
export { compensate, type CompensateOptions, type CompensateStep } from "./resilience/compensate.ts";
export { fallback, type FallbackOptions, type FallbackTarget } from "./resilience/fallback.ts";
export { hedge, type HedgeOptions } from "./resilience/hedge.ts";
export { loadBalance, type LoadBalanceOptions, type LoadBalancer } from "./resilience/load-balance.ts";
export type { Endpoint, EndpointStatus } from "./resilience/balancing/endpoint.ts";
export type { BalanceBy } from "./resilience/balancing/pick.ts";
export {
  type RateDimension,
  rateLimit,
  type RateLimiter,
  rateLimiter,
  type RateLimitOptions,
  type RateLimitSettings,
  type StoreEvent,
} from "./resilience/rate-limit.ts";
export { type RetryBudget, retryBudget, type RetryBudgetOptions } from "./resilience/retry-budget.ts";
export { retry, type RetryEvent, type RetryOptions } from "./resilience/retry.ts";
export type { Backoff, BackoffState } from "./resilience/attempts/backoff.ts";
export type { AfterCommit } from "./resilience/attempts/try.ts";
export type { SagaEvent, StepOutput, Undo, UndoContext } from "./resilience/sagas/undo.ts";
export { timeout, type TimeoutOptions } from "./resilience/timeout.ts";
export { append } from "./streams/append.ts";
export { batch, type BatchOptions } from "./streams/batch.ts";
export { buffer } from "./streams/buffer.ts";
export { concat } from "./streams/concat.ts";
export { each, type EachOptions } from "./streams/each.ts";
export { extract, type ExtractOptions } from "./streams/extract.ts";
export { extractUrls, type ExtractUrlsOptions } from "./streams/extract-urls.ts";
export { filter } from "./streams/filter.ts";
export { interleave } from "./streams/interleave.ts";
export type { ErrorBudget } from "./streams/error-budget.ts";
export { isolate, type IsolateOptions, type OnError } from "./streams/isolate.ts";
export { lines, type LinesOptions } from "./streams/lines.ts";
export { merge } from "./streams/merge.ts";
export { parallel } from "./streams/parallel.ts";
export { pipe } from "./streams/pipe.ts";
export { prepend } from "./streams/prepend.ts";
export { content, prompt, type PromptValue } from "./streams/prompt.ts";
export { route, type Routes, type Select } from "./streams/route.ts";
export type { PerRun } from "./streams/sequence.ts";
export { skip } from "./streams/skip.ts";
export { split, type SplitOptions } from "./streams/split.ts";
export { splitText, type SplitTextOptions } from "./streams/split-text.ts";
export { take } from "./streams/take.ts";
export { tap } from "./streams/tap.ts";
export type { Mark } from "./streams/text/marks.ts";
export type { TextUnit } from "./streams/text/ruler.ts";
export { window, type WindowOptions } from "./streams/window.ts";
export { conversation, type Conversation, type ConversationOptions, type ConversationTurn } from "./tools/conversation.ts";
export type { HistoryStore } from "./tools/kept-history.ts";
export type { JsonSchema, Schema, StandardResult, StandardSchema } from "./tools/schema.ts";
export { structured, type StructuredOptions } from "./tools/structured.ts";
export { tool, type ToolFunction, type ToolOptions, type ToolOutput, type ToolPipelineOptions, type ToolSettings } from "./tools/tool.ts";
export type { ToolEvent } from "./tools/tool-call.ts";
export { trimHistory, type TrimHistoryOptions } from "./tools/trim-history.ts";
export { withTools, type WithToolsOptions } from "./tools/with-tools.ts";
