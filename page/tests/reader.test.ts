import { describe, expect, it } from "vitest";
import { column } from "../src/lib/column";
import { merge, renormalise } from "../src/lib/grid";
import { floats, readSafetensors, TraceError } from "../src/lib/safetensors";
import { MEAN, Trace } from "../src/lib/trace";
import { show, wordGroups } from "../src/lib/words";
import { safetensors, traceOf, type Stored } from "./write";

const half = (bits: number[]): Stored => ({ dtype: "F16", shape: [bits.length], bytes: new Uint8Array(new Uint16Array(bits).buffer) });

describe("safetensors", () => {
  it("turns halves into numbers", () => {
    const file = safetensors({ x: half([0x3c00, 0x3800, 0x0001, 0x0400, 0x7bff, 0xbc00, 0x0000, 0x2e66]) });
    const read = floats(readSafetensors(file).tensors.get("x")!);
    [1, 0.5, 2 ** -24, 2 ** -14, 65504, -1, 0, 0.0999755859375].forEach((value, i) => expect(read[i]).toBe(Math.fround(value)));
  });

  it("reads tensors that do not lie aligned", () => {
    const file = safetensors({
      a: { dtype: "U8", shape: [3], bytes: new Uint8Array([1, 2, 3]) },
      b: { dtype: "F32", shape: [2], bytes: new Uint8Array(new Float32Array([0.25, -8]).buffer) },
    });
    expect([...floats(readSafetensors(file).tensors.get("b")!)]).toEqual([0.25, -8]);
  });

  it.each([0, 4, 9, 40, 120])("tells that a file of %i bytes is cut off", (length) => {
    const file = safetensors({ a: { dtype: "F32", shape: [64], bytes: new Uint8Array(256) } });
    expect(() => readSafetensors(file.slice(0, length))).toThrow(TraceError);
  });

  it("refuses what a trace does not hold", () => {
    expect(() => readSafetensors(safetensors({ a: { dtype: "BF16", shape: [1], bytes: new Uint8Array(2) } }))).toThrow(/BF16/);
    expect(() => new Trace(safetensors({}))).toThrow(/no trace/);
    expect(() => new Trace(traceOf([], {}, { version: 2 }))).toThrow(/version 2/);
  });
});

describe("weights", () => {
  const full = new Trace(
    traceOf([{ id: "0", heads: 2, rows: 2, columns: 3, store: "weights" }], {
      "0.weights": { dtype: "U8", shape: [2, 2, 3], bytes: new Uint8Array([255, 0, 51, 0, 255, 255, 255, 255, 255, 1, 2, 255]) },
      "0.rowmax": { dtype: "F16", shape: [2, 2], bytes: new Uint8Array(new Uint16Array([0x3800, 0x3400, 0x3c00, 0x3c00]).buffer) },
    }),
  );
  const [map] = full.maps;

  it("are bytes times the largest of their row", () => {
    expect([...full.row(map, 0, 0)]).toEqual([0.5, 0, 0.1].map(Math.fround));
    expect([...full.row(map, 0, 1)]).toEqual([0, 0.25, 0.25]);
    expect([...full.matrix(map, 1).values.subarray(0, 3)]).toEqual([1, 1, 1]);
  });

  it("are meaned over heads", () => {
    expect([...full.row(map, MEAN, 0)].map((x) => x.toFixed(3))).toEqual(["0.750", "0.500", "0.550"]);
    const matrix = full.matrix(map, MEAN).values;
    expect([...matrix.subarray(0, 3)]).toEqual([...full.row(map, MEAN, 0)]);
  });

  it("have columns that agree with their rows", () => {
    for (const head of [0, 1, MEAN]) {
      for (let s = 0; s < 3; s++) {
        column(full, map, head, s).forEach((weight, t) => expect(weight).toBeCloseTo(full.row(map, head, t)[s], 6));
      }
    }
  });

  it("are put back where windows took them from, padding left out", () => {
    // A 2 x 3 picture in windows of 2 x 2, shifted: the places are as a rolled Swin layer has them; -1 is padding.
    const places = [4, 5, 1, 2, 3, -1, 0, -1];
    const bytes = new Uint8Array(2 * 4 * 4).map((_, i) => i + 1);
    const swin = new Trace(
      traceOf([{ id: "0", heads: 1, rows: 6, columns: 6, store: "windows" }], {
        "0.weights": { dtype: "U8", shape: [1, 2, 4, 4], bytes },
        "0.rowmax": { dtype: "F16", shape: [1, 2, 4], bytes: new Uint8Array(new Uint16Array(8).fill(0x3c00).buffer) },
        "0.places": { dtype: "I32", shape: [2, 4], bytes: new Uint8Array(new Int32Array(places).buffer) },
      }),
    );
    const [one] = swin.maps;
    const matrix = swin.matrix(one, 0).values;
    for (let window = 0; window < 2; window++) {
      for (let i = 0; i < 4; i++) {
        for (let j = 0; j < 4; j++) {
          const [t, s] = [places[window * 4 + i], places[window * 4 + j]];
          if (t >= 0 && s >= 0) expect(matrix[t * 6 + s]).toBeCloseTo(bytes[window * 16 + i * 4 + j] / 255, 6);
        }
      }
    }
    expect(matrix[4 * 6 + 0]).toBe(0); // of another window
    expect([...swin.row(one, 0, 5)]).toEqual([...matrix.subarray(30, 36)]);
  });

  it("are sparse beyond the budget", () => {
    const long = new Trace(
      traceOf([{ id: "0", heads: 1, rows: 2, columns: 300, store: "top" }], {
        "0.top.values": { dtype: "F16", shape: [1, 2, 2], bytes: new Uint8Array(new Uint16Array([0x3800, 0x3400, 0x3c00, 0]).buffer) },
        "0.top.indices": { dtype: "U32", shape: [1, 2, 2], bytes: new Uint8Array(new Uint32Array([299, 7, 3, 3]).buffer) },
        "0.pooled": { dtype: "U8", shape: [1, 1, 2], bytes: new Uint8Array([255, 51]) },
        "0.pooledmax": { dtype: "F16", shape: [1, 1], bytes: new Uint8Array(new Uint16Array([0x3c00]).buffer) },
      }),
    );
    const row = long.row(long.maps[0], 0, 0);
    expect([row[299], row[7], row[3]]).toEqual([0.5, 0.25, 0]);
    expect(long.row(long.maps[0], 0, 1)[3]).toBe(1);
    const matrix = long.matrix(long.maps[0], 0);
    expect([matrix.pooled, matrix.rows, matrix.columns]).toEqual([true, 1, 2]);
    expect([...matrix.values]).toEqual([1, Math.fround(0.2)]);
  });
});

describe("words", () => {
  const stream = {
    name: "text", kind: "text" as const, text: "a chasing b", tokens: ["[CLS]", "a", "chas", "##ing", "b"],
    offsets: [[0, 0], [0, 1], [2, 6], [6, 9], [10, 11]] as [number, number][], words: [-1, 0, 1, 1, 2],
    special: [true, false, false, false, false], generated: null,
  };

  it("join the pieces that belong together", () => {
    expect(wordGroups(stream, 5)).toEqual([
      { label: "[CLS]", positions: [0] },
      { label: "a", positions: [1] },
      { label: "chasing", positions: [2, 3] },
      { label: "b", positions: [4] },
    ]);
  });

  it("sum what is looked at and mean what looks, so that rows still sum to 1", () => {
    const groups = wordGroups(stream, 5);
    const values = new Float32Array(25).map((_, i) => ((i * 7) % 5) + 1);
    const before = { values, rows: 5, columns: 5, pooled: false };
    renormalise(before);
    const after = merge(before, groups, groups);
    for (let r = 0; r < 4; r++) expect(after.values.subarray(r * 4, r * 4 + 4).reduce((a, b) => a + b, 0)).toBeCloseTo(1, 6);
    expect(after.values[2 * 4 + 2]).toBeCloseTo((before.values[12] + before.values[13] + before.values[17] + before.values[18]) / 2, 6);
  });

  it("leave a row without weight empty", () => {
    const empty = { values: new Float32Array([0, 0, 1, 3]), rows: 2, columns: 2, pooled: false };
    renormalise(empty);
    expect([...empty.values]).toEqual([0, 0, 0.25, 0.75]);
  });

  it.each([["", "∅"], [" ", "␣"], ["\n", "⏎"], ["\u200b", "U+200B"], ["cat", "cat"], ["\u202e", "U+202E"]])("show %j as %s", (token, seen) => {
    expect(show(token)).toBe(seen);
  });

  it("cut what is endless", () => expect([...show("a".repeat(1000))].length).toBe(60));
});
