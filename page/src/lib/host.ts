/** Where the page lives: a file or a notebook with the trace inside it, or a server that is asked for traces. */

import { Trace, TraceError } from "./trace";

export type HostKind = "file" | "notebook" | "server";

export class Host {
  readonly kind: HostKind;
  readonly token: string | null;

  constructor() {
    const told = document.getElementById("host")?.textContent;
    this.kind = (told ? (JSON.parse(told).kind as HostKind) : undefined) ?? "file";
    this.token = new URLSearchParams(location.hash.slice(1)).get("token");
  }

  /** The trace to begin with; null where the page holds none and has nobody to ask. */
  async first(): Promise<Trace | null> {
    if (this.kind === "server") return this.ask("/api/trace", { method: "GET" });
    const element = document.getElementById("trace");
    const text = element?.textContent;
    if (!element || !text) return null;
    element.textContent = "";
    return open(fromBase64(text));
  }

  /** Look at another input: a text, or a picture. */
  look(given: string | File): Promise<Trace> {
    if (typeof given === "string") return this.post("/api/look", { text: given });
    return this.ask("/api/look", { method: "POST", headers: { "Content-Type": given.type }, body: given });
  }

  /** Look again with heads switched off and tokens hidden. */
  ablate(heads: [number, number][], mask: number[]): Promise<Trace> {
    return this.post("/api/ablate", { heads, mask });
  }

  private post(path: string, body: unknown): Promise<Trace> {
    return this.ask(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
  }

  private async ask(path: string, request: RequestInit): Promise<Trace> {
    const headers = { ...(request.headers as Record<string, string>), "X-QKV-Token": this.token ?? "" };
    let answer: Response;
    try {
      answer = await fetch(path, { ...request, headers });
    } catch {
      throw new TraceError("The server does not answer. Is `qkv explore` still running?");
    }
    if (!answer.ok) throw new TraceError(await sentence(answer));
    return open(new Uint8Array(await answer.arrayBuffer()));
  }
}

/** What the server says went wrong. */
async function sentence(answer: Response): Promise<string> {
  try {
    return String((await answer.json()).error);
  } catch {
    return `The server answers with error ${answer.status}.`;
  }
}

/** Read a trace, zipped (gzip) or not. */
export async function open(bytes: Uint8Array<ArrayBuffer>): Promise<Trace> {
  if (bytes[0] !== 0x1f || bytes[1] !== 0x8b) return new Trace(bytes);
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Trace(new Uint8Array(await new Response(stream).arrayBuffer()));
}

function fromBase64(text: string): Uint8Array<ArrayBuffer> {
  const native = Uint8Array as unknown as { fromBase64?: (text: string) => Uint8Array<ArrayBuffer> };
  if (native.fromBase64) return native.fromBase64(text);
  const letters = atob(text);
  const bytes = new Uint8Array(letters.length);
  for (let i = 0; i < letters.length; i++) bytes[i] = letters.charCodeAt(i);
  return bytes;
}
