/** What a model wrote, or filled in, word by word: where each choice stands, and which row of a map looked for it. */

import type { Likely, MapInfo, TextStream, Trace } from "./trace";

export interface Step {
  /** The place of the chosen token in its stream. */
  at: number;
  token: string;
  top: Likely[];
}

/** The stream that holds the choices and the choices in order; null where the model chose no words. */
export function stepsOf(trace: Trace): { stream: TextStream; steps: Step[] } | null {
  for (const output of trace.outputs) {
    if (output.kind === "steps") {
      const stream = trace.streams.find((one) => one.kind === "text" && one.generated !== null) as TextStream | undefined;
      if (stream) return { stream, steps: output.steps.map((step, i) => ({ at: output.first + i, token: step.token, top: step.top })) };
    }
    if (output.kind === "gaps") {
      const stream = trace.streams.find((one) => one.kind === "text") as TextStream | undefined;
      if (stream) return { stream, steps: output.gaps.map((gap) => ({ at: gap.at, token: gap.top[0]?.[0] ?? "", top: gap.top })) };
    }
  }
  return null;
}

/** The row that looked when this token was chosen: a causal reader chooses a token while it reads the one before. */
export function rowOf(map: MapInfo, stream: TextStream, at: number): number | null {
  if (map.query !== stream.name) return null;
  const row = map.query === map.key && map.causal ? at - 1 : at;
  return row >= 0 && row < map.rows ? row : null;
}
