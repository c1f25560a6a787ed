/** Six cards for each kind of model: what one sees, and where to look first. */

import type { Ui } from "./state.svelte";
import type { Trace } from "./trace";

export interface Card {
  title: string;
  text: string;
  go?: (ui: Ui, trace: Trace) => void;
}

const view = (name: string) => (ui: Ui) => void (ui.view = name);
const last: Card = {
  title: "What it does not show",
  text: "Weights show where information could come from, not why the model decides as it does. Two very different maps can give the same answer. To test an idea, switch heads off or change the input and see whether the answer changes.",
};
const keep: Card = {
  title: "Keep what you found",
  text: "“Save” gives the figure as PNG or SVG and its numbers as CSV or JSON; “Python” gives the lines that make it again. The address of the page holds the view: a link shows the same.",
};
const heads = (text: string): Card => ({ title: "All heads at once", text, go: view("overview") });

const CARDS: Record<string, Card[]> = {
  translation: [
    { title: "Who looks at whom", text: "The model writes a target sentence, piece by piece. Before each piece it looks at the source sentence. Each row here is one piece that it wrote, each column one piece of the source.", go: crossMap },
    { title: "One row", text: "Point at a row: on the right stands what that piece took, in percent. A row adds up to 100 %. Where the two languages share their word order, the strong cells form a diagonal.", go: view("matrix") },
    { title: "Is it right?", text: "Where the true alignment is known, orange frames mark it. A strong cell inside a frame is a hit. “Largest of each row” draws the path that the head would choose." },
    heads("Other layers and heads do other work: some follow the sentence, some collect the whole, some rest on the end sign. Choose a small map to open it."),
    keep,
    last,
  ],
  decoder: [
    { title: "It reads from left to right", text: "This model writes a text token by token. Each token can look only at itself and at what stands before it, so half of the map is empty.", go: view("matrix") },
    { title: "One row", text: "Point at a row: on the right stands what that token took from each earlier one. Each row adds up to 100 %." },
    { title: "The first token", text: "Many heads put most of their weight on the first token: a place to rest when nothing else fits. “Lift small weights” shows what remains.", go: (ui) => ui.set("shade", "lift") },
    heads("Look for stripes beside the diagonal (heads that look one token back) and for single strong columns (heads that rest). Choose a small map to open it."),
    keep,
    last,
  ],
  encoder: [
    { title: "Every token looks at every token", text: "This model reads the whole text at once. Each row is a token that looks, each column one that is looked at.", go: view("matrix") },
    { title: "One row", text: "Point at a row: on the right stands what that token took from the others. Each row adds up to 100 %." },
    { title: "Special tokens", text: "Much weight often goes to [CLS] and [SEP], where heads rest. Hide them, and each row adds up to 100 % over the words that remain.", go: (ui) => ui.set("special", true) },
    heads("Some heads look at the next token, some at the same word elsewhere, some at the verb. Sort the heads by how far or how widely they look."),
    keep,
    last,
  ],
  picture: [
    { title: "A picture in patches", text: "The model cuts the picture into squares, its tokens. Each square looks at the others. Point at one to see where it takes from.", go: view("picture") },
    { title: "[CLS] looks for all", text: "The token [CLS] stands for no place: it collects what the answer needs. Its map often shows the thing in the picture." },
    { title: "The same as a matrix", text: "Each row is one patch that looks, each column one it looks at, counted row by row. Lines beside the diagonal are the neighbours above and below.", go: view("matrix") },
    heads("Early heads look nearby, later ones across the picture. Sort by distance to see it."),
    keep,
    last,
  ],
};

function crossMap(ui: Ui, trace: Trace): void {
  const cross = trace.maps.findLast((map) => map.kind === "cross");
  if (cross) ui.choose(trace, cross);
  ui.view = "matrix";
}

/** The cards for the model of a trace. */
export function cardsFor(trace: Trace): Card[] {
  if (trace.maps.some((map) => map.kind === "cross")) return CARDS.translation;
  if (trace.streams.some((stream) => stream.kind === "picture")) return CARDS.picture;
  return trace.maps.some((map) => map.causal) ? CARDS.decoder : CARDS.encoder;
}
