/** Tokens as people read them, and tokens merged to words. */

import type { Stream } from "./trace";

/** A token as it is shown: what cannot be seen gets a sign, what is endless an end. */
export function show(token: string, limit = 60): string {
  const seen = token.replaceAll("\n", "⏎").replaceAll("\t", "⇥").replaceAll("\r", "␍");
  if (seen.trim() === "") return seen === "" ? "∅" : "␣".repeat(Math.min(seen.length, 4));
  if (/^[\p{Cf}\p{Mn}\p{Cc}\p{Z}]+$/u.test(seen)) {
    return [...seen].slice(0, 3).map((letter) => `U+${letter.codePointAt(0)!.toString(16).toUpperCase().padStart(4, "0")}`).join(" ");
  }
  const letters = seen.length > limit ? [...seen.slice(0, 2 * limit + 2)] : [];
  return letters.length > limit ? `${letters.slice(0, limit - 1).join("")}…` : seen;
}

/** What one row or column of a table stands for: one token, or the pieces of a word. */
export interface Group {
  label: string;
  positions: number[];
}

/** One group for each of the first `n` tokens. */
export function tokenGroups(tokens: string[], n: number): Group[] {
  return Array.from({ length: n }, (_, i) => ({ label: show(tokens[i] ?? ""), positions: [i] }));
}

/** One group for each word of the first `n` tokens; a special token stays by itself. */
export function wordGroups(stream: Stream, n: number): Group[] {
  if (stream.kind !== "text") return tokenGroups([], n);
  const groups: Group[] = [];
  for (let i = 0; i < n; i++) {
    const goesOn = i > 0 && stream.words[i] >= 0 && stream.words[i] === stream.words[i - 1];
    if (goesOn) groups[groups.length - 1].positions.push(i);
    else groups.push({ label: "", positions: [i] });
  }
  for (const group of groups) group.label = show(written(stream, group.positions));
  return groups;
}

function written(stream: Stream & { kind: "text" }, positions: number[]): string {
  if (positions.length === 1) return stream.tokens[positions[0]];
  const [start, end] = [stream.offsets[positions[0]][0], stream.offsets[positions.at(-1)!][1]];
  const pieces = positions.map((i) => stream.tokens[i].replace(/^##/, "")).join("");
  return [...stream.text].slice(start, end).join("").trim() || pieces;
}

/** Whether any word of a stream is cut into pieces. */
export function hasPieces(stream: Stream): boolean {
  return stream.kind === "text" && stream.words.some((word, i) => word >= 0 && word === stream.words[i - 1]);
}
