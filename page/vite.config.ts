import { createHash } from "node:crypto";
import { svelte } from "@sveltejs/vite-plugin-svelte";
import { deflateSync, strToU8 } from "fflate"; // in JavaScript: the same bytes on every machine, as zlib's are not
import { defineConfig, type Plugin } from "vite";

const hash = (text: string) => `'sha256-${createHash("sha256").update(text).digest("base64")}'`;

/** Unpacks the page's script. Its policy names the hash of what comes out: nothing else would run. */
const UNPACK = `
const packed = Uint8Array.from(atob(document.getElementById("page").textContent), (letter) => letter.charCodeAt(0));
const script = document.createElement("script");
script.type = "module";
script.textContent = await new Response(new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate-raw"))).text();
document.body.append(script);
`;

/** Fold script and style into the HTML, the script packed to half its size, and let the policy name exactly these. */
function oneFile(): Plugin {
  return {
    name: "one-file",
    enforce: "post",
    generateBundle(_, bundle) {
      let script = "";
      let style = "";
      let html = "";
      for (const [name, file] of Object.entries(bundle)) {
        if (name.endsWith(".html") && file.type === "asset") html = String(file.source);
        else if (file.type === "chunk") script += file.code;
        else if (name.endsWith(".css")) style += String(file.source);
        delete bundle[name];
      }
      const packed = Buffer.from(deflateSync(strToU8(script), { level: 9, mem: 12 })).toString("base64");
      const page = html
        .replace(/\s*<script [^>]*src=[^>]*><\/script>/g, "")
        .replace(/\s*<link [^>]*rel="stylesheet"[^>]*>/g, "")
        .replace("SCRIPT_HASHES", () => `${hash(UNPACK)} ${hash(script)}`)
        .replace("STYLE_HASH", () => hash(style))
        .replace("</head>", () => `<style>${style}</style>\n</head>`)
        .replace("</body>", () => `<script type="application/octet-stream;base64" id="page">${packed}</script>\n<script type="module">${UNPACK}</script>\n</body>`);
      this.emitFile({ type: "asset", fileName: "page.html", source: page });
    },
  };
}

export default defineConfig({
  plugins: [svelte({ compilerOptions: { cssHash: ({ hash, filename }) => `q${hash(filename.replace(/^.*\/src\//, "")).slice(0, 4)}` } }), oneFile()],
  test: { include: ["tests/**/*.test.ts"] },
  build: {
    outDir: "../src/qkv/inside",
    emptyOutDir: false,
    target: "es2022",
    modulePreload: false,
    cssCodeSplit: false,
    assetsInlineLimit: 1_000_000,
    chunkSizeWarningLimit: 400,
  },
} as Parameters<typeof defineConfig>[0]);
