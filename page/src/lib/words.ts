/** Tokens as people read them, and tokens merged to words. */

/** A token as it is shown: what cannot be seen gets a sign. */
export function show(token: string): string {
  const seen = token.replaceAll("\n", "⏎").replaceAll("\t", "⇥").replaceAll("\r", "␍");
  if (seen.trim() === "") return seen === "" ? "∅" : "␣".repeat(Math.min(seen.length, 4));
  if (/^[\p{Cf}\p{Mn}\p{Cc}\p{Z}]+$/u.test(seen)) {
    return [...seen].map((letter) => `U+${letter.codePointAt(0)!.toString(16).toUpperCase().padStart(4, "0")}`).join(" ");
  }
  return seen;
}
