/**
 * What pipelines and adapters are tested with, without a provider and without waiting.
 *
 * @module
 */
export { type FakeClock, fakeClock } from "./clock.ts";
export { type Analyser, analyserContract, type AnalyserLack, type AnalyserSubject } from "./contracts/analyser.ts";
export { blobStoreContract, type BlobStoreSubject } from "./contracts/blob-store.ts";
export { embedderContract, type EmbedderSubject } from "./contracts/embedder.ts";
export { keyValueContract, type KeyValueSubject } from "./contracts/key-value.ts";
export { type ModelAnswer, type ModelBench, type ModelRequest, type WireModel, wireModelBench } from "./contracts/model-bench.ts";
export { modelContract, type ModelLack, type ModelSubject } from "./contracts/model.ts";
export { queueContract, type QueueSubject } from "./contracts/queue.ts";
export { sqlContract, type SqlSubject } from "./contracts/sql.ts";
export type { TestFunction, TestRunner } from "./contracts/runner.ts";
export { vectorStoreContract, type VectorStoreSubject } from "./contracts/vector-store.ts";
export { fault, type Fault, type FaultPlace, type FaultPlan } from "./fault.ts";
export type { CodeOf, FaultEnd, FaultFinding } from "./fault-findings.ts";
export type { WireAsk, WireClient } from "./fault-meeting.ts";
export { exchangesOf, type RecordedExchange } from "./http-exchange.ts";
export { mockEmbedder, type MockEmbedder, type MockEmbedderOptions } from "./mock-embedder.ts";
export { type MockAnswer, type MockCall, type MockEvent, mockModel, type MockModel, type MockModelOptions, type MockScript } from "./mock-model.ts";
export { recordingFetch, type RecordFetchOptions, type ReplayFetchOptions, replayingFetch } from "./record-fetch.ts";
export { record, type RecordOptions, replay, type ReplayOptions } from "./record.ts";
export { recording, type Recording, type RecordingLine } from "./recording.ts";
export { reference, type ReferenceResult, type ReferenceStage } from "./reference.ts";
export { type Split, splitBytes } from "./split-bytes.ts";
export { recordedAnswer, type RecordedAnswerOptions, replayServer } from "./replay-server.ts";
export { type FaultOutcome, tryFault, type TryFaultOptions } from "./try-fault.ts";
export { anthropicVoice } from "./voices/anthropic.ts";
export { geminiVoice } from "./voices/gemini.ts";
export { ollamaVoice } from "./voices/ollama.ts";
export { azureOpenaiVoice, openaiChatVoice } from "./voices/openai-chat.ts";
export { openaiVoice } from "./voices/openai.ts";
export type { WireCall, WireTrouble, WireVoice } from "./voices/voice.ts";
export { stalledSource, watchedSource, type WatchedOptions, type WatchedSource } from "./watched-source.ts";
export { chatFrames, errorAnswer, type EventStyle, htmlAnswer, jsonAnswer, jsonLineFrames, jsonLinesAnswer, redirectAnswer, responsesFrames, sseAnswer, sseFrame } from "./wire-answers.ts";
export { type FaultExpectation, type FaultyAnswer, type WireFaultCase, wireFaults } from "./wire-faults.ts";
export { type WireAnswer, type WireFault, type WireRequest, type WireScript, type WireServer, wireServer } from "./wire-server.ts";
