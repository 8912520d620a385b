/**
 * Function calls of Gemini as parts: whole ones, and ones whose arguments come in pieces.
 *
 * Source: ai.google.dev/gemini-api/docs/function-calling; `partialArgs` (Vertex AI, `streamFunctionCallArguments`): each piece has
 * a JSON path and a value, and strings go on while `willContinue` says so.
 *
 * @module
 */
import { toolCall } from "../../core/constructors.ts";
import { isMillraceError, MillraceError } from "../../core/errors.ts";
import { checkedJson } from "../../core/json-border.ts";
import type { JsonValue, ToolCallPart } from "../../core/part.ts";
import { itemsOf, type Shape, shapeOf, wordsOf } from "../json-shape.ts";

/** Names that would reach a prototype where a table of tools is a plain object. */
const forbidden: ReadonlySet<string> = new Set(["__proto__", "constructor", "prototype"]);

/** A call whose arguments are to be had. */
export interface GatheredCall {
  readonly id: string | undefined;
  readonly name: string;
  readonly args: unknown;
  /** The arguments as they were sent, where that is known. */
  readonly raw: string | undefined;
  readonly signature: string | undefined;
}

/**
 * The call as a part; `ownId` names it where the service did not.
 *
 * Throws: `bad_response` for names, keys and depths that do harm.
 */
export function callPart(service: string, call: GatheredCall, ownId: string): ToolCallPart {
  const { id, name, args, raw, signature } = call;
  if (name === "" || forbidden.has(name)) throw new MillraceError("bad_response", `${service}: a function call has no usable name`, { service });
  const value = checkedArguments(service, args ?? {});
  const text = raw === undefined || raw === "" ? JSON.stringify(value) : raw;
  const about = { arguments: text, ...(id === undefined ? { withoutId: true } : {}), ...(signature === undefined ? {} : { thoughtSignature: signature }) };
  return toolCall({ id: id ?? ownId, name, arguments: value }, { metadata: { gemini: about } });
}

function checkedArguments(service: string, args: unknown): JsonValue {
  try {
    return checkedJson(args, "arguments");
  } catch (error) {
    if (!isMillraceError(error)) throw error;
    throw new MillraceError("bad_response", `${service}: the arguments of a function call hold a key or a depth that is refused`, { service, cause: error });
  }
}

/** Gathers the one call that may be open. */
export interface CallGathering {
  /** Is one open? Then it is not whole. */
  readonly open: boolean;
  /** The call, when it is whole. */
  push(call: Shape, raw: string | undefined, signature: string | undefined): GatheredCall | undefined;
}

/** What is known of an open call. */
interface OpenCall {
  id: string | undefined;
  name: string;
  signature: string | undefined;
  readonly args: Record<string, unknown>;
}

/** Starts gathering. */
export function callGathering(service: string): CallGathering {
  let open: OpenCall | undefined;
  return {
    get open() {
      return open !== undefined;
    },
    push(call, raw, signature) {
      const id = wordsOf(call.id);
      const name = wordsOf(call.name) ?? "";
      const goesOn = call.willContinue === true;
      const pieces = itemsOf(call.partialArgs);
      if (open === undefined && !goesOn && pieces.length === 0) return { id, name, args: call.args, raw, signature };
      if (open !== undefined && name !== "" && (name !== open.name || (id !== undefined && open.id !== undefined && id !== open.id))) {
        throw new MillraceError("bad_response", `${service}: a function call begins before the one before it is whole`, { service });
      }
      open ??= { id, name, signature, args: { ...shapeOf(call.args) } };
      open.id ??= id;
      open.signature ??= signature;
      for (const piece of pieces) set(service, open.args, shapeOf(piece) ?? {});
      if (goesOn) return undefined;
      const whole = { ...open, raw: undefined };
      open = undefined;
      return whole;
    },
  };
}

/** Puts a piece where its path says: `$.a.b[0]['c']`. Text is added to the text that is there. */
function set(service: string, args: Record<string, unknown>, piece: Shape): void {
  const steps = stepsOf(wordsOf(piece.jsonPath) ?? "");
  const value = "nullValue" in piece ? null : (piece.boolValue ?? piece.numberValue ?? piece.stringValue);
  const last = steps?.pop();
  const bad = (): MillraceError => new MillraceError("bad_response", `${service}: a piece of a function call's arguments has no place or no value`, { service });
  if (steps === undefined || last === undefined || value === undefined) throw bad();
  let at: unknown = args;
  for (const [index, step] of steps.entries()) {
    const known = childOf(at, step);
    const next: unknown = typeof known === "object" && known !== null ? known : typeof (steps[index + 1] ?? last) === "number" ? [] : {};
    if (!put(at, step, next)) throw bad();
    at = next;
  }
  const known = childOf(at, last);
  if (!put(at, last, typeof known === "string" && typeof value === "string" ? known + value : value)) throw bad();
}

function childOf(parent: unknown, step: string | number): unknown {
  if (Array.isArray(parent)) return typeof step === "number" ? (parent as readonly unknown[])[step] : undefined;
  const shape = shapeOf(parent);
  return shape !== undefined && Object.hasOwn(shape, step) ? shape[step] : undefined;
}

/** False where the path takes an array for an object, or the other way round, and where it leaves a place out. */
function put(parent: unknown, step: string | number, value: unknown): boolean {
  if (Array.isArray(parent) ? typeof step === "string" || step > parent.length : typeof step === "number") return false;
  Object.defineProperty(parent, step, { value, writable: true, enumerable: true, configurable: true });
  return true;
}

function stepsOf(path: string): (string | number)[] | undefined {
  if (!/^\$(?:\.[^.[\]]+|\[\d{1,5}\]|\['[^']+'\]|\["[^"]+"\])+$/.test(path)) return undefined;
  const steps: (string | number)[] = [];
  for (const [, name, place, single, double] of path.matchAll(/\.([^.[\]]+)|\[(\d+)\]|\['([^']+)'\]|\["([^"]+)"\]/g)) {
    steps.push(place === undefined ? (name ?? single ?? double ?? "") : Number(place));
  }
  return steps;
}
