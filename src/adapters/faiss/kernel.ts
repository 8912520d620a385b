/**
 * The innermost loop: inner products and squared distances of one vector to many, four numbers an instruction.
 *
 * JavaScript has no SIMD of its own, WebAssembly has: the two functions are written down here as instructions and compiled at first
 * use. Source: https://webassembly.github.io/spec/core/binary/ (2.0, with its vector instructions).
 *
 * @module
 */

/** Bytes that one turn of the loop takes, so that lengths are multiples of it: four vectors of four numbers. */
export const stepBytes = 64;

/**
 * Writes to `out` (floats) what the vector at `query` has with each of `count` rows; row number r, of the whole numbers at `list`,
 * begins at `base + r * stride`. All are addresses in the memory that was given; `stride` is a multiple of `stepBytes`.
 */
export type Kernel = (query: number, base: number, stride: number, list: number, count: number, out: number) => void;

/** What there is. */
export interface Kernels {
  /** The negative inner product, so that less is closer in both. */
  readonly dot: Kernel;
  /** The squared Euclidean distance. */
  readonly l2: Kernel;
}

/** Makes the functions over a memory. */
export function kernels(memory: WebAssembly.Memory): Kernels {
  compiled ??= new WebAssembly.Module(moduleBytes());
  const { dot, l2 } = new WebAssembly.Instance(compiled, { a: { a: memory } }).exports;
  if (typeof dot !== "function" || typeof l2 !== "function") throw new TypeError("the kernels are not exported");
  return { dot: dot as Kernel, l2: l2 as Kernel }; // functions, and with the parameters below
}

let compiled: WebAssembly.Module | undefined;

// --- instructions: names as in the specification ---

const [i32, v128, empty] = [0x7f, 0x7b, 0x40];
const [block, loop, end, br, brIf] = [0x02, 0x03, 0x0b, 0x0c, 0x0d];
const [localGet, localSet, localTee] = [0x20, 0x21, 0x22];
const [i32Load, f32Store, i32Const] = [0x28, 0x38, 0x41];
const [i32Eqz, i32LtU, i32Add, i32Sub, i32Mul] = [0x45, 0x49, 0x6a, 0x6b, 0x6c];
const [f32Neg, f32Add] = [0x8c, 0x92];
const simd = (opcode: number): number[] => [0xfd, ...leb(opcode)];
const v128Load = (offset: number): number[] => [...simd(0), 2, ...leb(offset)];
const extractLane = (lane: number): number[] => [...simd(31), lane];
const [f32x4Splat, f32x4Add, f32x4Sub, f32x4Mul] = [simd(19), simd(228), simd(229), simd(230)];
const zero = [0x43, 0, 0, 0, 0, ...f32x4Splat];

/** Parameters, then locals: where the row is read and where it ends, where the query is read, four sums and one difference. */
const [query, base, stride, list, count, out, row, rowEnd, at] = [0, 1, 2, 3, 4, 5, 6, 7, 8];
const sums = [9, 10, 11, 12];
const difference = 13;
const get = (local: number): number[] => [localGet, local];
const set = (local: number): number[] => [localSet, local];
const advance = (local: number, bytes: number): number[] => [...get(local), i32Const, ...sleb(bytes), i32Add, ...set(local)];

function body(kind: keyof Kernels): number[] {
  const term = (i: number): number[] => {
    const load = [...get(at), ...v128Load(16 * i), ...get(row), ...v128Load(16 * i)];
    if (kind === "dot") return [...load, ...f32x4Mul];
    return [...load, ...f32x4Sub, localTee, difference, ...get(difference), ...f32x4Mul];
  };
  const total = [...get(9), ...get(10), ...f32x4Add, ...get(11), ...get(12), ...f32x4Add, ...f32x4Add, ...set(9)];
  const code = [
    [block, empty, loop, empty],
    [...get(count), i32Eqz, brIf, 1],
    [...get(base), ...get(list), i32Load, 2, 0, ...get(stride), i32Mul, i32Add, localTee, row, ...get(stride), i32Add, ...set(rowEnd)],
    [...get(query), ...set(at)],
    sums.flatMap((sum) => [...zero, ...set(sum)]),
    [loop, empty],
    sums.flatMap((sum, i) => [...get(sum), ...term(i), ...f32x4Add, ...set(sum)]),
    [...advance(at, stepBytes), ...advance(row, stepBytes)],
    [...get(row), ...get(rowEnd), i32LtU, brIf, 0, end],
    total,
    get(out),
    [0, 1, 2, 3].flatMap((lane) => [...get(9), ...extractLane(lane), ...(lane === 0 ? [] : [f32Add])]),
    kind === "dot" ? [f32Neg] : [],
    [f32Store, 2, 0],
    [...advance(out, 4), ...advance(list, 4)],
    [...get(count), i32Const, 1, i32Sub, ...set(count), br, 0, end, end, end],
  ].flat();
  return sized([2, 3, i32, 5, v128, ...code]);
}

function moduleBytes(): Uint8Array<ArrayBuffer> {
  const name = (text: string): number[] => [text.length, ...new TextEncoder().encode(text)];
  const section = (id: number, content: readonly number[]): number[] => [id, ...sized(content)];
  const bytes = [
    [0, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    section(1, [1, 0x60, 6, i32, i32, i32, i32, i32, i32, 0]),
    section(2, [1, ...name("a"), ...name("a"), 2, 0, 1]), // the memory, of a page at least
    section(3, [2, 0, 0]),
    section(7, [2, ...name("dot"), 0, 0, ...name("l2"), 0, 1]),
    section(10, [2, ...body("dot"), ...body("l2")]),
  ];
  return Uint8Array.from(bytes.flat());
}

function sized(content: readonly number[]): number[] {
  return [...leb(content.length), ...content];
}

/** LEB128 of a whole number from 0. */
function leb(value: number): number[] {
  return value < 128 ? [value] : [(value & 127) | 128, ...leb(value >>> 7)];
}

/** The signed form, in which bit 6 of the last byte is the sign. */
function sleb(value: number): number[] {
  return value < 64 ? [value] : [(value & 127) | 128, ...sleb(value >>> 7)];
}
