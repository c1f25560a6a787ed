/** Traces made by hand, from numbers. */

import { Trace, type MapInfo } from "../src/lib/trace";
import { traceOf, type Stored } from "./write";

type Numbers = Uint8Array | Uint32Array | Int32Array | Float32Array;

const stored = (dtype: string, shape: number[], data: Numbers): Stored => ({ dtype, shape, bytes: new Uint8Array(data.buffer) });

export const bytes = (shape: number[], data: number[]) => stored("U8", shape, Uint8Array.from(data));
export const words = (shape: number[], data: number[]) => stored("U32", shape, Uint32Array.from(data));
export const places = (shape: number[], data: number[]) => stored("I32", shape, Int32Array.from(data));
export const reals = (shape: number[], data: number[]) => stored("F32", shape, Float32Array.from(data));

export function map(id: string, rows: number, columns: number, more: Partial<MapInfo> = {}): MapInfo {
  return {
    id, layer: Number(id), kind: "self", query: "text", key: "text", heads: 1, kv_heads: 1, d_head: 2, scale: 1, causal: false, window: null,
    shift: null, grid: null, store: "weights", qk: false, rows, columns, missing_rows: 0, numbers: null, ...more,
  };
}

export function made(maps: MapInfo[], tensors: Record<string, Stored>, meta: Record<string, unknown> = {}): Trace {
  return new Trace(traceOf(maps as unknown as Record<string, unknown>[], tensors, meta));
}
